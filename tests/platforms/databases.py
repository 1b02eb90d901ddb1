"""The sessions on the newest databases: ``python -m tests.platforms.databases``.

They are Debian sid's, and so is the Python. What follows the name goes to pytest instead of TESTS.
"""

import re
import subprocess
import sys

from harness.processes import ROOT
from tests.platforms import report, sid
from tests.platforms.pythons import prepared_within

TESTS = (
    "tests/sessions/test_stores.py",
    "tests/sessions/test_races.py",
    "tests/sessions/test_lost_races.py",
    "tests/sessions/test_joined_truth.py",
    "tests/outcomes/test_outcomes.py",
    "tests/outcomes/test_old_snapshots.py",
    "tests/outcomes/test_two_kinds.py",
)
# The servers that a Debian folder has: what the tests call them, and who says their version.
SERVERS = {
    "mariadb": {
        "postgresql": ("PostgreSQL", "postgresql"),
        "mariadb": ("MariaDB", "mariadb-server"),
    },
    "mysql": {"mariadb": ("MySQL", "mysql-server")},
}
OPERATIONS = 2000


def main(*tests: str) -> int:
    """Run the tests on each database, then the checker; return whether any failed."""
    outcomes = [passed for name in SERVERS for passed in _all_of(name, tests or TESTS)]
    return not all(outcomes)


def _all_of(name: str, tests: tuple[str, ...]) -> list[bool]:
    try:
        sid.prepare(name)
    except sid.SidMissing as missing:
        print(f"skipped: {' and '.join(_names(name))}: {missing}", file=sys.stderr)
        return []
    environment = prepared_within(name)
    outcomes = []
    for database, (product, package) in SERVERS[name].items():
        version = _package_version(name, package)
        shown = f"{product} {version}, Python {environment.python_version}"
        chosen = (*tests, "-k", database)
        outcomes.append(environment.test(shown, tests=chosen))
        command = ["-m", "tests.faults.checker", "--database", database]
        command += ["--operations", str(OPERATIONS), "--kill-servers", "--kill-database"]
        done = subprocess.run(environment.command(*command), cwd=ROOT, check=False)
        passed = done.returncode == 0
        checked = f"checker, {OPERATIONS} operations"
        report.keep(report.Row(shown, checked, int(passed), int(not passed), 0, report.today()))
        outcomes.append(passed)
    return outcomes


def _names(name: str) -> list[str]:
    return [product for product, _ in SERVERS[name].values()]


def _package_version(name: str, package: str) -> str:
    query = ["dpkg-query", "--showformat", "${Version}", "--show", package]
    answer = subprocess.check_output([*sid.entered(name), *query], text=True)
    # 1:11.8.2+ds-1 and 18+293: the epoch and what Debian adds say nothing of the server.
    return re.sub(r"^\d+:|[-+].*", "", answer)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
