"""Measures requests per second: `python -m bench.http`, `make bench/http`.

wrk, the servers and the database share the machine, as they would on a small host. All servers run
from the beginning, and each is asked for a second in every round, so that a machine that is slow
for a while is so for all of them.

With `--one-core` each server has one core, and wrk and the database have the others: sessions
beside Go's net/http with scs, several of them at random, and one that all connections ask for.
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
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench import ROOT, cores
from bench.contender import ContenderFailed, built, register
from bench.http import one_core, report
from bench.http.apps import BARE, CONTENDERS
from bench.http.servers import KINDS, ON_ONE_CORE, Kind, Served, net_http, serving
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

SCS: Final = "Go scs"
"""By its name in the register; it is its own server."""

SAME: Final = ", one session"
"""What ends the name of a work for which all connections have the same cookie."""

ONE_CORE_CASES: Final = tuple(
    (contender, database, work)
    for database in ("sqlite", "postgresql")
    for contender in ("myapp", SCS)
    for work in ("read", "write", f"read{SAME}", f"write{SAME}")
)

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
    cases: tuple[tuple[str, str, str], ...] = CASES
    others: int = 10_000
    """Sessions in each table that nobody asks for."""
    sessions: int = 1_000
    """So many are asked for at random: two requests at once seldom meet in one."""


FULL: Final = Plan(kinds=KINDS, rounds=3)
QUICK: Final = Plan(kinds=KINDS[1::2], rounds=1, databases=("sqlite",))
ONE_CORE: Final = Plan(kinds=ON_ONE_CORE, rounds=5, contenders=("myapp", SCS), cases=ONE_CORE_CASES)
ONE_CORE_QUICK: Final = replace(ONE_CORE, rounds=1)


def main() -> int:
    """Measure as the command line says, and keep the result of a full run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="in a minute; nothing is kept")
    parser.add_argument("--one-core", action="store_true", help="beside Go's net/http with scs")
    given = parser.parse_args()
    name, command, tables = "http", "python -m bench.http", report.tables
    plan = QUICK if given.quick else FULL
    if given.one_core:
        name, command, tables = "one_core", f"{command} --one-core", one_core.tables
        plan = ONE_CORE_QUICK if given.quick else ONE_CORE
    install((WRK,))
    # The commit is the one that is measured, not one that is made meanwhile.
    about = describe_run()
    try:
        result = about | measure(plan)
    except ServerMissing as missing:
        print(f"nothing was measured: {missing}", file=sys.stderr)
        return 0
    if given.quick:
        for title, table in tables(result).items():
            print(f"\n{title}\n\n{table}")
    else:
        print(keep(name, command, result))
    return 0


def measure(plan: Plan) -> dict[str, Any]:
    """All of it. Raises ServerMissing."""
    WRK.find()
    before = os.getloadavg()
    alone = any(kind.one_core for kind in plan.kinds)
    with cores.apart() if alone else nullcontext(), ExitStack() as stack:
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
        "skipped": runner.skipped,
        "figures": figures,
    }


class _Runner:
    def __init__(self, plan: Plan, folder: Path, stack: ExitStack) -> None:
        self._plan, self._folder, self._stack = plan, folder, stack
        self._urls: dict[tuple[str, str], str] = {}
        self.about: dict[str, str] = {}
        self.skipped: list[str] = []
        self._contenders = list(plan.contenders)
        if SCS in self._contenders:
            self._build_scs()
        if BARE in self._contenders:
            self._prepare(BARE, "", "")
        for name in plan.databases:
            server: Any = stack.enter_context(DATABASES[name]())
            for contender in self._contenders:
                if contender == BARE:
                    continue
                url = stack.enter_context(server.database())
                self._prepare(contender, name, url)
                self.about[name] = describe(name, url)

    def figures(self) -> Iterator[dict[str, Any]]:
        """One for each server and case: the median of all rounds."""
        servers = {
            (kind, contender, database): self._serve(kind, contender, database)
            for contender, database in self._urls
            for kind in self._kinds(contender)
        }
        found: dict[tuple[Kind, str, str, str], list[dict[str, Any]]] = defaultdict(list)
        # What a server does at its first requests is nobody's figure: one round more.
        for turn in range(self._plan.rounds + 1):
            _tell(f"round {turn} of {self._plan.rounds}")
            for (kind, contender, database), served in servers.items():
                for work in self._works(contender, database)[: None if turn else 1]:
                    path = f"/{work.removesuffix(SAME)}"
                    cookies = self._cookies(contender, database, same=work.endswith(SAME))
                    before = served.processor_time()
                    answer = ask(served.port, path, cookies, SECONDS)
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
        program = [sys.executable, "-m", "bench.http.apps", contender]
        done = subprocess.run(
            [*([self._scs] if contender == SCS else program), url, *rows],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=clean_environment(),
            check=True,
            timeout=120,
        )
        made = json.loads(done.stdout)
        for same in (False, True):
            lines = made[:1] if same else made
            self._cookies(contender, database, same=same).write_text("\n".join(lines) + "\n")
        self._urls[contender, database] = url

    def _build_scs(self) -> None:
        (scs,) = (contender for contender in register() if contender.name == SCS)
        try:
            self._scs = built(scs, self._folder / "go").program
        except ContenderFailed as failure:
            _tell(str(failure))
            self.skipped.append(str(failure))
            self._contenders.remove(SCS)

    def _kinds(self, contender: str) -> tuple[Kind, ...]:
        return (net_http(self._scs),) if contender == SCS else self._plan.kinds

    def _works(self, contender: str, database: str) -> list[str]:
        return [work for *case, work in self._plan.cases if case == [contender, database]]

    def _cookies(self, contender: str, database: str, *, same: bool) -> Path:
        return self._folder / f"cookies-{contender}-{database}{'-same' * same}"


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
