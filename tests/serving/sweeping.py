"""Several processes sweep one table under load, and one of them is killed midway.

`run` fills an empty database, watches, and reports; it judges nothing but what must never be.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from myapp.sessions.lifetime import SteadyClock
from myapp.sessions.sql_store import SqlStore
from myapp.sessions.sweep import sweep
from tests.processes import ROOT, clean_environment
from tests.serving.crowd import complaints, fill
from tests.servers.process import Child
from tests.waiting import wait_until

_LONG: Final = 3600.0


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
    """Seconds of traffic without sweeping, before it and again after it."""
    seconds: float = _LONG
    """How long sweeping may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened."""

    complaints: list[str]
    due_at_kill: int
    left_by_killed: int
    """What one more sweep found when the survivors had finished."""
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
    tell(f"filling a table with {plan.rows} rows")
    crowd = fill(plan.url, plan.rows)
    store = SqlStore(plan.url)
    with ExitStack() as stack:
        stack.callback(store.close)
        visitors = _start(stack, plan, "visitors", plan.folder / "result", _LONG)
        sweepers = [_start(stack, plan, "sweeper", plan.batch, plan.folder / "go")]
        for _ in range(plan.sweepers - 1):
            sweepers.append(_start(stack, plan, "sweeper", plan.batch, plan.folder / "go"))
        _wait(lambda: all("ready" in each.output() for each in sweepers), "all sweepers", sweepers)
        tell(f"visitors alone for {plan.calm:g} s")
        _pass(plan.calm)
        due = store.count_due(crowd.now)
        tell(f"{plan.sweepers} sweepers, {due} rows to look at")
        began = time.monotonic()
        (plan.folder / "go").touch()
        wait_until(
            lambda: store.count_due(crowd.now) < due / 2, "half of the sweeping", plan.seconds
        )
        victim, *survivors = sweepers
        due_at_kill = store.count_due(crowd.now) if victim.running else 0
        victim.kill()
        tell(f"one sweeper killed, {due_at_kill} rows to go")
        wait_until(lambda: not any(each.running for each in survivors), "the sweep", plan.seconds)
        ended = time.monotonic()
        left = store.count_due(crowd.now)
        for _ in sweep(store, SteadyClock()):
            pass
        tell(f"visitors alone for {plan.calm:g} s")
        _pass(plan.calm)
        visitors.stop()
    tell("looking at each row")
    result = json.loads((plan.folder / "result").read_text())
    return Report(
        complaints=result["complaints"]
        + [f"a sweeper failed: {each.output()}" for each in survivors if each.wait(0)]
        + complaints(plan.url, crowd),
        due_at_kill=due_at_kill,
        left_by_killed=left,
        swept=due,
        seconds=ended - began,
        before=[took for when, took in result["visits"] if when < began],
        during=[took for when, took in result["visits"] if began <= when < ended],
        after=[took for when, took in result["visits"] if when >= ended],
        said=[each.output() for each in survivors],
    )
