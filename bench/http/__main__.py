"""Measures requests per second: `python -m bench.http`, `make bench/http`.

wrk, the server and the database share the machine, as they would on a small host.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import ROOT
from bench.http.apps import BARE, CONTENDERS
from bench.http.report import tables
from bench.http.servers import KINDS, Kind, serving
from bench.http.wrk import CONNECTIONS, ask
from bench.report import keep
from bench.servers import KINDS as DATABASES
from bench.servers import describe
from tests.processes import clean_environment
from tests.servers.install import main as install
from tests.servers.programs import WRK, ServerMissing

CASES: Final = (
    (BARE, "", "read"),
    *(
        (contender, database, work)
        for database in ("sqlite", "postgresql")
        for contender in ("myapp", "django")
        for work in ("read", "write")
    ),
)
"""What is asked of each server: the contender, the database and the work."""

WARM_UP: Final = 1
"""Seconds, at each start of a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of it."""

    kinds: tuple[Kind, ...]
    seconds: int
    """For each figure."""
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    others: int = 10_000
    """Sessions in each table that nobody asks for."""
    sessions: int = 1_000
    """So many are asked for at random: two requests at once seldom meet in one."""


FULL: Final = Plan(kinds=KINDS, seconds=3)
QUICK: Final = Plan(kinds=KINDS[1::2], seconds=1, databases=("sqlite",))


def main() -> int:
    """Measure as the command line says, and keep the result of a full run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="in a minute; nothing is kept")
    given = parser.parse_args()
    install((WRK,))
    try:
        result = measure(QUICK if given.quick else FULL)
    except ServerMissing as missing:
        print(f"nothing was measured: {missing}", file=sys.stderr)
        return 0
    if given.quick:
        for name, table in tables(result).items():
            print(f"\n{name}\n\n{table}")
    else:
        print(keep("http", "python -m bench.http", result))
    return 0


def measure(plan: Plan) -> dict[str, Any]:
    """All of it. Raises ServerMissing."""
    WRK.find()
    before = os.getloadavg()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="myapp-bench-")))
        runner = _Runner(plan, folder, stack)
        figures = list(runner.figures())
    return {
        "load_average": [before, os.getloadavg()],
        "connections": CONNECTIONS,
        "sessions": plan.sessions,
        "others": plan.others,
        "seconds": plan.seconds,
        "databases": runner.about,
        "figures": figures,
    }


class _Runner:
    def __init__(self, plan: Plan, folder: Path, stack: ExitStack) -> None:
        self._plan, self._folder, self._stack = plan, folder, stack
        self._urls: dict[tuple[str, str], str] = {}
        self._cookies: dict[tuple[str, str], Path] = {}
        self.about: dict[str, str] = {}
        self._prepare(BARE, "", "")
        for name in plan.databases:
            server: Any = stack.enter_context(DATABASES[name]())
            for contender in plan.contenders:
                if contender == BARE:
                    continue
                url = stack.enter_context(server.database())
                self._prepare(contender, name, url)
                self.about[name] = describe(name, url)

    def figures(self) -> Iterator[dict[str, Any]]:
        """One for each server and case."""
        for kind in self._plan.kinds:
            for contender, database in self._urls:
                _tell(f"{kind.name}, {kind.threads} threads: {contender} {database}")
                yield from self._served(kind, contender, database)

    def _served(self, kind: Kind, contender: str, database: str) -> Iterator[dict[str, Any]]:
        works = [work for *case, work in CASES if tuple(case) == (contender, database)]
        cookies = self._cookies[contender, database]
        url = self._urls[contender, database]
        about = {"server": kind.name, "workers": kind.workers, "threads": kind.threads}
        with (
            tempfile.TemporaryDirectory(dir=self._folder) as own,
            serving(kind, Path(own), contender, url) as port,
        ):
            ask(port, f"/{works[0]}", cookies, WARM_UP)
            for work in works:
                found = ask(port, f"/{work}", cookies, self._plan.seconds)
                yield about | {"contender": contender, "database": database, "work": work} | found

    def _prepare(self, contender: str, database: str, url: str) -> None:
        rows = (str(self._plan.others), str(self._plan.sessions))
        command = [sys.executable, "-m", "bench.http.apps", contender, url, *rows]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=clean_environment(),
            check=True,
            timeout=120,
        )
        cookies = self._folder / f"cookies-{contender}-{database}"
        cookies.write_text("\n".join(json.loads(done.stdout)) + "\n")
        self._urls[contender, database] = url
        self._cookies[contender, database] = cookies


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
