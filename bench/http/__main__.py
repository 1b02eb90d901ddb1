"""Measures requests per second: `python -m bench.http`, `make bench/http`.

wrk, the servers and the database share the machine, as they would on a small host. All servers run
from the beginning, and each is asked for a second in every round, so that a machine that is slow
for a while is so for all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import ROOT
from bench.http.apps import BARE, CONTENDERS
from bench.http.report import tables
from bench.http.servers import KINDS, Kind, Served, serving
from bench.http.wrk import CONNECTIONS, ask
from bench.machine import describe as describe_run
from bench.report import keep
from bench.servers import KINDS as DATABASES
from bench.servers import describe
from harness.processes import clean_environment
from harness.servers.install import main as install
from harness.servers.programs import WRK, ServerMissing

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

SECONDS: Final = 1
"""The shortest time that wrk takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of it."""

    kinds: tuple[Kind, ...]
    rounds: int
    """Of a second for each server and case."""
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    others: int = 10_000
    """Sessions in each table that nobody asks for."""
    sessions: int = 1_000
    """So many are asked for at random: two requests at once seldom meet in one."""


FULL: Final = Plan(kinds=KINDS, rounds=3)
QUICK: Final = Plan(kinds=KINDS[1::2], rounds=1, databases=("sqlite",))


def main() -> int:
    """Measure as the command line says, and keep the result of a full run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="in a minute; nothing is kept")
    given = parser.parse_args()
    install((WRK,))
    # The commit is the one that is measured, not one that is made meanwhile.
    about = describe_run()
    try:
        result = about | measure(QUICK if given.quick else FULL)
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
        "rounds": plan.rounds,
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
        """One for each server and case: the median of all rounds."""
        servers = {
            (kind, contender, database): self._serve(kind, contender, database)
            for kind in self._plan.kinds
            for contender, database in self._urls
        }
        found: dict[tuple[Kind, str, str, str], list[dict[str, Any]]] = defaultdict(list)
        # What a server does at its first requests is nobody's figure: one round more.
        for turn in range(self._plan.rounds + 1):
            _tell(f"round {turn} of {self._plan.rounds}")
            for (kind, contender, database), served in servers.items():
                cookies = self._cookies[contender, database]
                for work in _works(contender, database)[: None if turn else 1]:
                    before = served.processor_time()
                    answer = ask(served.port, f"/{work}", cookies, SECONDS)
                    answer["processor"] = served.processor_time() - before
                    if turn:
                        found[kind, contender, database, work].append(answer)
        for (kind, contender, database, work), answers in found.items():
            about = {"server": kind.name, "workers": kind.workers, "threads": kind.threads}
            what = {"contender": contender, "database": database, "work": work}
            yield about | what | _median(answers)

    def _serve(self, kind: Kind, contender: str, database: str) -> Served:
        _tell(f"starting {kind.name} with {kind.threads} threads: {contender} {database}")
        own = self._stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder))
        url = self._urls[contender, database]
        return self._stack.enter_context(serving(kind, Path(own), contender, url))

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


def _works(contender: str, database: str) -> list[str]:
    return [work for *case, work in CASES if tuple(case) == (contender, database)]


def _median(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each figure; failures are added, and so is the processor's time for each request."""
    names = ("rate", "p50", "p99")
    medians = {name: statistics.median(answer[name] for answer in answers) for name in names}
    requests = sum(answer["requests"] for answer in answers)
    return medians | {
        "processor": sum(answer["processor"] for answer in answers) / requests,
        "failed": sum(answer["failed"] for answer in answers),
    }


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
