"""Several processes sweep one table under load, and one of them is killed midway.

`run` fills an empty database, watches, and reports; it judges nothing but what must never be.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from myapp.sessions.lifetime import SteadyClock
from myapp.sessions.sql_store import SqlStore
from myapp.sessions.sweep import sweep
from tests.processes import ROOT, clean_environment
from tests.servers.process import Child
from tests.serving.crowd import Crowd, complaints, fill
from tests.waiting import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to try."""

    url: str
    rows: int
    sweepers: int
    batch: int
    folder: Path
    """For what the processes write."""
    calm: float
    """Seconds of visits without sweeping, before it and again after it."""
    seconds: float
    """How long any part of it may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened."""

    complaints: list[str]
    due_at_kill: int
    left: int
    """What one more sweep looked at when the survivors had finished."""
    swept: int
    seconds: float
    before: list[float]
    during: list[float]
    after: list[float]
    """How long each visit took, in seconds."""
    said: list[str]
    """By the sweepers."""


def run(plan: Plan, tell: Callable[[str], None] = lambda text: None) -> Report:
    """Fill, visit, sweep, kill one, wait for the others, and look at what is left."""
    tell(f"filling a table with {plan.rows:,} rows")
    crowd = fill(plan.url, plan.rows)
    with ExitStack() as stack:
        trial = _Trial(plan, crowd, stack, tell)
        trial.visitors_alone()
        trial.sweep_and_kill_one()
        trial.visitors_alone()
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
        self._sweepers = [
            self._start(f"sweeper-{number}", "sweeper", plan.batch, self._go)
            for number in range(plan.sweepers)
        ]
        self._visitors = self._start("visitors", "visitors", self._result, plan.seconds)
        self._wait(
            lambda: all("ready" in child.output() for child in self._children()), "the start"
        )
        self._due = self._due_at_kill = self._left = 0
        self._began = self._ended = 0.0

    def visitors_alone(self) -> None:
        """Let them visit undisturbed, to compare with."""
        self._tell(f"visitors alone for {self._plan.calm:g} s")
        over = time.monotonic() + self._plan.calm
        self._wait(lambda: time.monotonic() > over, "the end of the calm")

    def sweep_and_kill_one(self) -> None:
        """Give the word, kill one when half is done, and wait for the others."""
        self._due = self._count_due()
        self._tell(f"{self._plan.sweepers} sweepers, {self._due:,} rows to look at")
        self._began = time.monotonic()
        self._go.touch()
        self._wait(lambda: self._count_due() < self._due / 2, "half of the sweep")
        victim, *survivors = self._sweepers
        self._due_at_kill = self._count_due() if victim.running else 0
        victim.kill()
        self._tell(f"one sweeper killed, {self._due_at_kill:,} rows to go")
        wait_until(
            lambda: not any(child.running for child in survivors), "the sweep", self._plan.seconds
        )
        self._ended = time.monotonic()
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
            due_at_kill=self._due_at_kill,
            left=self._left,
            swept=self._due,
            seconds=self._ended - self._began,
            before=[took for when, took in result["visits"] if when < self._began],
            during=[took for when, took in result["visits"] if self._began <= when < self._ended],
            after=[took for when, took in result["visits"] if when >= self._ended],
            said=[child.output().split("\n")[1] for child in survivors],
        )

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
