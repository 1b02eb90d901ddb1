"""Sweeps expired rows in a process of its own, while this one reads sessions that live on.

Once at the pace of the sweeper of a web server, which rests most of the time, and once by
`myapp.sessions.core.sweep.sweep` without rest. The reader never rests: no visitors are as eager.
"""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from multiprocessing.connection import Connection
from typing import Any, Final

from bench.growth.reads import HOT
from bench.growth.rows import IDLE_TIMEOUT, began, digest
from bench.growth.times import points, time_reads, time_reads_until
from myapp.sessions.core.sweep import Sweeper, sweep
from myapp.sessions.sql.store import SqlStore

PACED: Final = "paced"
FULL: Final = "full"


def try_both(url: str, rows: int, expired: int, seconds: float) -> dict[str, Any]:
    """Let so many of the rows expire and sweep them, twice; each takes at most so many seconds."""
    store = SqlStore(url)
    chance = random.Random(2)
    # The rows that expire last.
    live = [digest(chance.randrange(rows - rows // 10, rows)) for _ in range(HOT)]
    time_reads(store, live)
    alone = points(time_reads(store, live * 5))
    results = {
        pace: _try(url, pace, began(turn * expired, rows) + IDLE_TIMEOUT, expired, seconds, live)
        for turn, pace in enumerate((PACED, FULL), 1)
    }
    store.close()
    return {"rows": rows, "expired": expired, "alone": alone} | results


def _try(
    url: str, pace: str, now: int, goal: int, seconds: float, live: list[bytes]
) -> dict[str, Any]:
    store = SqlStore(url)
    time_reads(store, live)
    ours, theirs = multiprocessing.Pipe()
    # Not forked: no process is to inherit a connection.
    start = multiprocessing.get_context("spawn").Process
    process = start(target=_sweeper, args=(url, pace, now, goal, seconds, theirs))
    process.start()
    try:
        _await(ours, process)
        ours.send("go")
        took = time_reads_until(lambda: ours.poll() or not process.is_alive(), store, live)
        swept, lasted = _await(ours, process)
    finally:
        process.join(60)
        if process.is_alive():
            process.kill()
        store.close()
    reads = points(took)
    return {"swept": swept, "seconds": lasted, "rate": swept / lasted, "reads": reads}


def _await(ours: Connection, process: Any) -> Any:
    """What the sweeper says next; it may have failed instead."""
    while not ours.poll(1):
        if not process.is_alive():
            raise RuntimeError("the sweeper ended early")
    return ours.recv()


class _Counting(SqlStore):
    """Knows how many rows were swept."""

    def __init__(self, url: str, goal: int) -> None:
        super().__init__(url)
        self.swept, self._goal = 0, goal
        self.reached = threading.Event()

    def now(self) -> None:
        """The rows are of a day long past: the database's clock is no help."""

    def sweep(self, now: int, limit: int) -> int:
        looked_at = super().sweep(now, limit)
        self.swept += looked_at
        if self.swept >= self._goal:
            self.reached.set()
        return looked_at


def _sweeper(url: str, pace: str, now: int, goal: int, seconds: float, parent: Connection) -> None:
    """What the process does: it begins when it is told to, and says how far it got."""
    store = _Counting(url, goal)
    store.load([b""])  # so that the first batch finds a connection
    parent.send("ready")
    parent.recv()
    start = time.monotonic()
    if pace == PACED:
        sweeper = Sweeper(store, lambda: now, interval=1)
        sweeper.ensure_running()
        store.reached.wait(seconds)
        sweeper.stop()
    else:
        for _ in sweep(store, lambda: now):
            if store.reached.is_set() or time.monotonic() - start > seconds:
                break
    lasted = time.monotonic() - start
    swept = store.swept
    store.close()
    parent.send((swept, lasted))
