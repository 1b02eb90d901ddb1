"""Measures the contenders in lock-step: `make bench`, or a minute of it: `make bench/quick`.

A round is a batch of each contender, one after the other, the order reversed every other round. A
contender is compared with its reference within the round, so that whatever slows the machine for
a second slows both. What is reported are medians over the rounds, with their quartiles.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench import cores, report
from bench.contender import Contender, ContenderFailed, Running, built, register
from bench.footprint import footprint
from bench.machine import describe
from bench.round_trips import round_trips
from bench.servers import KINDS
from bench.servers import describe as describe_server
from bench.works import RARE, WORKS
from harness.servers.programs import ServerMissing

DATABASES: Final = ("sqlite", "postgresql", "mariadb")
ROWS: Final = 10_000
BARE: Final = "bare Pyramid"

QUICK_WORKS: Final = ("read", "write", "untouched", "anonymous")

BATCH: Final = 25_000_000  # nanoseconds
WARM_UP: Final = 2  # rounds that do not count
FEWEST_ROUNDS: Final = 5
MOST_ROUNDS: Final = 60

MINUTES_10: Final = 560.0  # seconds
A_MINUTE: Final = 50.0
RESERVE: Final = 4.0  # for the round trips and the memory of one contender
SHOWN: Final = ("targets", "times_", "transactions", "spread", "skipped")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured, and for how long."""

    databases: Sequence[str]
    works: Sequence[str]
    contenders: Sequence[Contender]
    seconds: float
    """For everything; there are fewer rounds where this does not suffice."""
    rows: int = ROWS
    besides: bool = True
    """Whether round trips, memory and the time of a start are measured too."""


class Bench:
    """A run: the servers that are up, and what was found out."""

    def __init__(self, plan: Plan) -> None:
        """Nothing is measured yet."""
        self.plan = plan
        self.contenders: list[Contender] = []
        self.times: list[Row] = []
        self.round_trips: list[Row] = []
        self.footprint: list[Row] = []
        self.skipped: list[str] = []
        self.settings: dict[str, str] = {}
        self._shares = _Shares(plan)

    def run(self) -> dict[str, Any]:
        """Measure everything; what can't be measured is named in `skipped`."""
        with cores.apart(), ExitStack() as stack:
            self.contenders = self._make_contenders(stack)
            servers = self._start_servers(stack)
            for database in self.plan.databases:
                if database in servers:
                    self._measure(database, servers)
        return {
            "settings": self.settings,
            "rows": self.plan.rows,
            "times": self.times,
            "round_trips": self.round_trips,
            "footprint": self.footprint,
            "skipped": self.skipped,
        }

    def _make_contenders(self, stack: ExitStack) -> list[Contender]:
        """Those that can run here, built where that is needed."""
        able = []
        for contender in self.plan.contenders:
            folder = stack.enter_context(TemporaryDirectory(prefix="myapp-bench-"))
            try:
                able.append(built(contender, Path(folder)))
            except ContenderFailed as failure:
                self._skip(str(failure))
        return able

    def _start_servers(self, stack: ExitStack) -> dict[str, Any]:
        wanted = {c.store for c in self.plan.contenders} | set(self.plan.databases)
        servers: dict[str, Any] = {}
        for kind in [kind for kind in KINDS if kind in wanted]:
            try:
                with cores.measured():
                    servers[kind] = stack.enter_context(KINDS[kind]())
            except ServerMissing as missing:
                self._skip(str(missing))
                continue
            with servers[kind].database() as url:
                self.settings[kind] = describe_server(kind, url)
        return servers

    def _measure(self, database: str, servers: dict[str, Any]) -> None:
        able = [c for c in self.contenders if database in c.databases]
        able = [c for c in able if c.store in ("", "none") or c.store in servers]
        for group in dict.fromkeys(contender.group for contender in able):
            members = [contender for contender in able if contender.group == group]
            names = "; ".join(contender.name for contender in members)
            say(f"after {self._shares.spent:.0f} s: {database}{group and ', '}{group}: {names}")
            with ExitStack() as stack:
                places = [_Place(c, _url(c, database, servers, stack)) for c in members]
                self._lock_step(database, group, places)
                if self.plan.besides and not group:
                    self._measure_besides(database, places, servers)

    def _lock_step(self, database: str, group: str, places: Sequence[_Place]) -> None:
        with ExitStack() as stack:
            running = []
            for place in places:
                try:
                    with cores.measured():
                        started = Running(place.contender, place.url, self.plan.rows)
                        running.append(stack.enter_context(started))
                except ContenderFailed as failure:
                    self._skip(str(failure))
            for work in self.plan.works:
                seconds = self._shares.next(sum(each.can(work) for each in running))
                able = [each for each in running if each.can(work) and self._proves(each, work)]
                if any(each.contender.name != BARE for each in able):
                    rows = measure(able, work, seconds)
                    self.times += [{"database": database, "group": group, **row} for row in rows]
                    say(summary(work, rows))

    def _proves(self, running: Running, work: str) -> bool:
        try:
            running.check(work)
        except ContenderFailed as failure:
            self._skip(str(failure))
            return False
        return True

    def _measure_besides(
        self, database: str, places: Sequence[_Place], servers: dict[str, Any]
    ) -> None:
        for place in places:
            try:
                self._measure_one(database, place, servers)
            except ContenderFailed as failure:
                self._skip(str(failure))

    def _measure_one(self, database: str, place: _Place, servers: dict[str, Any]) -> None:
        contender = place.contender
        self._shares.one_besides()
        with cores.measured():
            row = footprint(contender, place.url)
        self.footprint.append({"database": database, "contender": contender.name, **row})
        if contender.store or database == "sqlite":
            return
        with servers[database].database() as url:
            for heard in round_trips(contender, url, self.plan.works):
                self.round_trips.append({"database": database, **heard})

    def _skip(self, reason: str) -> None:
        if reason not in self.skipped:
            self.skipped.append(reason)
            say(f"skipped: {reason}")


@dataclass(frozen=True, slots=True)
class _Place:
    """A contender and its own database."""

    contender: Contender
    url: str


class _Shares:
    """Shares out what is left of the time among the works, by how many contenders each has.

    What starts, fills or counts for long takes it from the rounds that are still to come.
    """

    def __init__(self, plan: Plan) -> None:
        self._began = time.monotonic()
        self._ends = self._began + plan.seconds
        pairs = [(d, c) for d in plan.databases for c in plan.contenders if d in c.databases]
        self._batches = sum(len(contender.works or plan.works) for _, contender in pairs)
        self._besides = sum(plan.besides and not contender.group for _, contender in pairs)

    def next(self, batches: int) -> float:
        """Seconds for the next work, with so many contenders."""
        left = self._ends - time.monotonic() - self._besides * RESERVE
        share = max(left, 0) * batches / max(self._batches, batches, 1)
        self._batches -= batches
        return share

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def one_besides(self) -> None:
        """Round trips and memory of one contender are measured."""
        self._besides -= 1


def _url(contender: Contender, database: str, servers: dict[str, Any], stack: ExitStack) -> str:
    """The URL of an empty database for this contender alone."""
    if contender.store == "none":
        return "none:"
    url: str = stack.enter_context(servers[contender.store or database].database())
    return url


def measure(running: Sequence[Running], work: str, seconds: float) -> list[Row]:
    """Rounds of one work for so long; a row for each contender."""
    batches = {each.contender.name: _batch_size(each, work) for each in running}
    rounds: list[dict[str, float]] = []
    ends = time.monotonic() + seconds
    for number in count():
        enough = FEWEST_ROUNDS + WARM_UP
        if number >= MOST_ROUNDS + WARM_UP or (number >= enough and time.monotonic() > ends):
            break
        order = running if number % 2 == 0 else list(reversed(running))
        took = {}
        for each in order:
            size = batches[each.contender.name]
            took[each.contender.name] = each.run(work, size) / size / 1000
        rounds.append(took)
    counted = rounds[WARM_UP:]
    return [
        {"work": work, "batch": batches[each.contender.name], **_compared(each.contender, counted)}
        for each in running
    ]


def _batch_size(running: Running, work: str) -> int:
    """How many calls take as long as a batch is to take."""
    # Some of these are of the rare kind, the same share in each batch.
    unit = RARE if work in ("touches", "conflicts") else 4
    # A fresh session for each of these takes as long again.
    wanted = BATCH // 2 if work in ("sign-in", "sign-out") else BATCH
    size = unit
    while (took := running.run(work, size)) < wanted // 5:
        size *= 4
    return max(1, round(wanted * size / took / unit)) * unit


def _compared(contender: Contender, rounds: Sequence[dict[str, float]]) -> Row:
    """Microseconds a call, times the reference and microseconds over bare Pyramid."""
    name, reference = contender.name, contender.reference
    row: Row = {"contender": name, "rounds": len(rounds)}
    row["us"] = _spread([each[name] for each in rounds])
    if reference in rounds[0]:
        row["reference"] = reference
        row["ratio"] = _spread([each[name] / each[reference] for each in rounds])
    if BARE in rounds[0]:
        row["over_bare"] = _spread([each[name] - each[BARE] for each in rounds])
        row["times_bare"] = _spread([each[name] / each[BARE] for each in rounds])
    return row


def _spread(values: Sequence[float]) -> list[float]:
    """Lower quartile, median and upper quartile."""
    return [round(value, 4) for value in statistics.quantiles(values, n=4, method="inclusive")]


def summary(work: str, rows: Sequence[Row]) -> str:
    """One line, to see how it goes on."""
    cells = [
        f"{row['contender']} {row['us'][1]:.1f} µs"
        + (f" ({row['ratio'][1]:.2f})" if "ratio" in row else "")
        for row in rows
    ]
    return f"  {work}: {', '.join(cells)}"


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, flush=True)


def read_arguments(arguments: Sequence[str]) -> tuple[Plan, bool]:
    """What is to be measured, and whether the result is kept."""
    parser = argparse.ArgumentParser(prog="bench.lockstep", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, and keep nothing")
    parser.add_argument("--database", action="append", choices=DATABASES)
    parser.add_argument("--work", action="append", choices=list(WORKS))
    parser.add_argument("--contender", action="append", help="by name")
    parser.add_argument("--seconds", type=float, help="how long it may take")
    parser.add_argument("--rows", type=int, default=ROWS, help="sessions of other visitors")
    given = parser.parse_args(arguments)
    everybody = [c for c in register() if c.quick or not given.quick]
    if given.contender:
        everybody = [c for c in register() if c.name in given.contender]
    whole = not (given.quick or given.database or given.work or given.contender)
    plan = Plan(
        databases=given.database or DATABASES,
        works=given.work or (QUICK_WORKS if given.quick else tuple(WORKS)),
        contenders=everybody,
        seconds=given.seconds or (A_MINUTE if given.quick else MINUTES_10),
        rows=given.rows,
        besides=whole,
    )
    return plan, whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and keep the result if it is complete; else print its tables."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Whoever ends the run ends its servers too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(f"ended by signal {number}"))
    plan, whole = read_arguments(arguments)
    began, where = time.monotonic(), describe()
    result = where | Bench(plan).run()
    say(f"after {time.monotonic() - began:.0f} s: done")
    if whole:
        command = shlex.join(
            ["make", "bench", *(["ARGS=" + shlex.join(arguments)] * bool(arguments))]
        )
        say(f"kept in {report.keep('lockstep', command, result)}")
        return
    from bench.lockstep_report import tables

    for name, table in tables(result | {"command": ""}).items():
        if table and name.startswith(SHOWN):
            say(f"\n{name}\n{table}")


if __name__ == "__main__":
    main()
