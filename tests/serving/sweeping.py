"""Several processes sweep one table under load, and one of them is killed midway.

`run` fills an empty database, watches, and reports; it judges nothing but what must never be. What
visitors meet is measured in turns, without sweeping, without again, and with it, so that whatever
changes in the course of a run is in all three; and how much the first two differ is the noise.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.processes import ROOT, clean_environment
from harness.servers.process import Child
from harness.waiting import wait_until
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.core.sweep import sweep
from myapp.sessions.sql.store import SqlStore
from tests.serving.crowd import Crowd, complaints, fill

HASTE: Final = 0.5
"""The part of its time in which a sweeper works after the turns, when nothing is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to try."""

    url: str
    rows: int
    sweepers: int
    batch: int
    share: float
    """Rows of one deletion, and the part of its time in which a sweeper works during the turns."""
    folder: Path
    """For what the processes write."""
    turns: int
    """How often visitors are watched without sweepers, without them again, and with them."""
    phase: float
    """Seconds of each of these three."""
    seconds: float
    """How long any part of it may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How long each visit took in three phases that follow one another, in seconds."""

    first: list[float]
    second: list[float]
    """Both without sweepers."""
    sweeping: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened."""

    complaints: list[str]
    turns: list[Turn]
    due_at_kill: int
    left: int
    """What one more sweep looked at when the survivors had finished."""
    swept: int
    """Rows that were looked at within `seconds` of sweeping, up to the end of the turns."""
    seconds: float
    load: tuple[float, float]
    """Of the machine in the minute before the turns, and in their last."""
    said: list[str]
    """By the sweepers."""


def run(plan: Plan, tell: Callable[[str], None] = lambda text: None) -> Report:
    """Fill, visit, sweep in turns, kill one, wait for the others, and look at what is left."""
    tell(f"filling a table with {plan.rows:,} rows")
    crowd = fill(plan.url, plan.rows)
    with ExitStack() as stack:
        trial = _Trial(plan, crowd, stack, tell)
        trial.take_turns()
        trial.kill_one_and_finish()
        trial.end_visits()
    tell("looking at each row")
    return trial.report()


class _Trial:
    """The processes, and the moments at which something began or ended."""

    def __init__(
        self, plan: Plan, crowd: Crowd, stack: ExitStack, tell: Callable[[str], None]
    ) -> None:
        self._plan, self._crowd, self._stack, self._tell = plan, crowd, stack, tell
        self._store = SqlStore(plan.url)
        stack.callback(self._store.close)
        self._result, self._go = plan.folder / "result", plan.folder / "go"
        self._load = os.getloadavg()[0], 0.0
        self._sweepers = [
            self._start(f"sweeper-{number}", "sweeper", plan.batch, self._go)
            for number in range(plan.sweepers)
        ]
        self._visitors = self._start("visitors", "visitors", self._result, plan.seconds)
        self._wait(
            lambda: all("ready" in child.output() for child in self._children()), "the start"
        )
        self._due = self._due_after_turns = self._count_due()
        self._due_at_kill = self._left = 0
        self._moments: list[float] = []

    def take_turns(self) -> None:
        """Let the sweepers work in one phase of three."""
        self._tell(f"{self._plan.sweepers} sweepers, {self._due:,} rows to look at")
        for turn in range(1, self._plan.turns + 1):
            self._moments.append(time.monotonic())
            for sweeping in (False, False, True):
                if sweeping:
                    self._let_sweep(self._plan.share)
                self._let_visit()
                self._go.unlink(missing_ok=True)
            self._tell(f"turn {turn}: {self._count_due():,} rows to go")
        self._due_after_turns = self._count_due()
        self._load = self._load[0], os.getloadavg()[0]

    def _let_sweep(self, share: float) -> None:
        # Nobody must read half of it.
        partly = self._go.with_suffix(".partly")
        partly.write_text(f"{share}")
        partly.rename(self._go)

    def _let_visit(self) -> None:
        # What another phase began is over by then.
        time.sleep(min(0.5, self._plan.phase / 10))
        over = time.monotonic() + self._plan.phase
        self._wait(lambda: time.monotonic() > over, "the end of a phase")
        self._moments.append(time.monotonic())

    def kill_one_and_finish(self) -> None:
        """Give the word for good, without much patience, kill one midway, wait for the others."""
        self._let_sweep(HASTE)
        victim, *survivors = self._sweepers
        self._wait(
            lambda: not victim.running or self._count_due() < self._due_after_turns, "progress"
        )
        self._due_at_kill = self._count_due() if victim.running else 0
        victim.kill()
        self._tell(f"one sweeper killed, {self._due_at_kill:,} rows to go")
        wait_until(
            lambda: not any(child.running for child in survivors), "the sweep", self._plan.seconds
        )
        self._left = sum(sweep(self._store, SteadyClock()))

    def end_visits(self) -> None:
        """Let the visitors look at all that they have, and write what they saw."""
        self._visitors.stop(seconds=60)

    def report(self) -> Report:
        """All of it, with what is wrong in the table."""
        result = json.loads(self._result.read_text("utf-8"))
        survivors = self._sweepers[1:]
        failed = [child.output() for child in survivors if child.wait(0)]
        return Report(
            complaints=result["complaints"] + failed + complaints(self._plan.url, self._crowd),
            turns=list(self._turns(result["visits"])),
            due_at_kill=self._due_at_kill,
            left=self._left,
            swept=self._due - self._due_after_turns,
            seconds=self._plan.turns * self._plan.phase,
            load=self._load,
            said=[child.output().split("\n")[1] for child in survivors],
        )

    def _turns(self, visits: list[tuple[float, float]]) -> Iterator[Turn]:
        for place in range(0, len(self._moments), 4):
            phases = [
                # Those that had just begun or were about to end may belong to two phases.
                [took for when, took in visits if until - self._plan.phase <= when < until - 0.1]
                for until in self._moments[place + 1 : place + 4]
            ]
            yield Turn(first=phases[0], second=phases[1], sweeping=phases[2])

    def _start(self, name: str, module: str, *words: object) -> Child:
        command = [sys.executable, "-m", f"tests.serving.{module}", self._plan.url]
        child = Child(
            [*command, *map(str, words)],
            log=self._plan.folder / f"{name}.log",
            folder=ROOT,
            environment=clean_environment(),
        )
        self._stack.callback(child.kill)
        return child

    def _children(self) -> list[Child]:
        return [self._visitors, *self._sweepers]

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait while the visitors are there: if they failed, say why at once."""
        wait_until(lambda: not self._visitors.running or condition(), what, self._plan.seconds)
        if not self._visitors.running:
            raise RuntimeError(f"the visitors left:\n{self._visitors.output()}")

    def _count_due(self) -> int:
        return self._store.count_due(self._crowd.now)
