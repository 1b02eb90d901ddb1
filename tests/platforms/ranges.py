"""The suite with the lowest or the newest packages: ``python -m tests.platforms.ranges lowest``.

What follows the name of the run goes to pytest.
"""

import sys

from harness.processes import ROOT
from tests.platforms import bounds
from tests.platforms.environments import Environment


def main(end: str, *tests: str) -> int:
    """Install one end of each range of setup.cfg, and return the exit status of the suite."""
    environment = Environment(folder=ROOT / f".venv-{end}")
    environment.make(sys.executable)
    if end == "lowest":
        constraints = environment.folder / "lowest.txt"
        constraints.write_text("\n".join(bounds.lowest()) + "\n")
        environment.install("--constraint", constraints, "--editable", ".[dev]")
    else:
        upgraded = ("--upgrade", "--upgrade-strategy", "eager")
        environment.install(*upgraded, "--editable", ".[dev]")
    shown = ", ".join(f"{name} {environment.version(name)}" for name in ("SQLAlchemy", "psycopg"))
    name = f"{end} packages ({shown}), Python {environment.python_version}"
    return not environment.test(name, tests=tests)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
