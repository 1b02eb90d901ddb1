"""The suite with every Python that is here: ``python -m tests.platforms.pythons``.

What follows the name goes to pytest. Each installs the same lock.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.processes import ROOT
from tests.platforms import sid
from tests.platforms.environments import Environment

OLDEST = (3, 11)
NEWEST = (3, 14)
"""What a Debian folder brings where the machine has nothing as new."""
FOLDER = ROOT / ".venv-pythons"
_LOCK = ROOT / "requirements-dev.txt"
# Of a shim the interpreter that it leads to, which the next choice of its user does not change.
_VERSION = "import sys; print('%d.%d %d' % sys.version_info[:3], sys.executable)"


def main(*tests: str) -> int:
    """Run the suite with one Python after the other, and return whether any failed."""
    failed = []
    for environment in _environments():
        name = f"Python {environment.python_version}, locked packages"
        if not environment.test(name, tests=tests):
            failed.append(name)
    for name in failed:
        print(f"failed: {name}", file=sys.stderr)
    return bool(failed)


def _environments() -> Iterator[Environment]:
    here = found()
    for version, interpreter in sorted(here.items()):
        yield prepared(version, interpreter)
    if max(here) < NEWEST:
        try:
            sid.prepare(sid.WITH_POSTGRESQL)
        except sid.SidMissing as missing:
            print(f"skipped: Debian sid's Python: {missing}", file=sys.stderr)
        else:
            yield prepared_within(sid.WITH_POSTGRESQL)


def found() -> dict[tuple[int, int], Path]:
    """The newest interpreter of each version, of those on the PATH and of pyenv's."""
    oldest_first = sorted((version, micro, path) for version, micro, path in _known())
    return {version: path for version, _, path in oldest_first}


def prepared(version: tuple[int, int], interpreter: Path) -> Environment:
    """An environment with the locked packages, in a folder called after the version."""
    environment = Environment(folder=FOLDER / ".".join(map(str, version)))
    environment.make(str(interpreter))
    environment.install("--require-hashes", "--no-deps", "--requirement", _LOCK)
    environment.install_project()
    return environment


def prepared_within(name: str) -> Environment:
    """The same with the Python of a Debian folder, which may lack the way to the packages."""
    inside = sid.entered(name)
    version = subprocess.check_output([*inside, "python3", "-c", _VERSION], text=True).split()[0]
    environment = Environment(folder=FOLDER / f"{version}-{name}", within=inside)
    environment.make("python3")
    wheels = FOLDER / f"wheels-{version}"
    locked = ("--require-hashes", "--no-deps", "--requirement", str(_LOCK))
    download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", *locked]
    download += ["--python-version", version, "--only-binary", ":all:", "--dest", str(wheels)]
    subprocess.run([sys.executable, *download], cwd=ROOT, check=True)
    environment.install("--no-index", "--find-links", wheels, *locked)
    environment.install_project()
    return environment


def _candidates() -> Iterator[Path]:
    places = [Path(each or ".") for each in os.environ.get("PATH", "").split(os.pathsep)]
    places += (Path.home() / ".pyenv" / "versions").glob("*/bin")
    for path in {path for place in places for path in place.glob("python3.*")}:
        # Not python3.11-config and the like.
        named = re.fullmatch(r"python3\.(\d+)", path.name)
        if named and (3, int(named[1])) >= OLDEST:
            yield path


def _known() -> Iterator[tuple[tuple[int, int], int, Path]]:
    for path in _candidates():
        command = [str(path), "-c", _VERSION]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        # A shim for a version that is not chosen fails.
        if not done.returncode:
            version, micro, interpreter = done.stdout.split(maxsplit=2)
            major, minor = map(int, version.split("."))
            yield (major, minor), int(micro), Path(interpreter.strip())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
