"""The thread of each process that says how things stand: pool, outages, what is to be swept.

It starts with the first request of its process, as the sweeper's does, so that a server which loads
the application and then forks has it in its workers alone.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.util import Finalize
from typing import Any, Final

from myapp.metrics.exporter import Exporter
from myapp.metrics.instruments import Instruments
from myapp.sessions import StoreUnavailable
from myapp.sessions.core.fork import process_id
from myapp.sessions.core.lifetime import Clock
from myapp.sessions.sql.store import SqlStore

log = logging.getLogger(__name__)

INTERVAL: Final = 5.0
"""Seconds between two looks."""

MINUTE: Final = 60.0
"""Seconds between two counts of what is to be swept."""

TROUBLES: Final = ("connecting", "waiting", "writing")


class Reporter:
    """Looks at stores every few seconds, from a thread of its own in each process."""

    def __init__(
        self,
        stores: Sequence[SqlStore],
        instruments: Instruments,
        exporter: Exporter,
        clock: Clock,
        add_up: Callable[[], None],
    ) -> None:
        self._stores, self._to, self._exporter = stores, instruments, exporter
        self._clock, self._add_up = clock, add_up
        self._threads: dict[int, tuple[threading.Thread, threading.Event]] = {}
        self._endings: dict[int, Any] = {}
        self._waits: dict[int, int] = {}
        self._next_count = -math.inf
        self.process = 0
        """The process in which its thread runs; asked at each request."""

    def ensure_running(self) -> None:
        """Start the thread of this process if there is none yet. Never raises."""
        process = process_id()
        stopped = threading.Event()
        thread = threading.Thread(
            target=self._run, args=(stopped,), name="session-metrics", daemon=True
        )
        # Of those who come at once one starts it.
        if self._threads.setdefault(process, (thread, stopped))[0] is thread:
            # What was noted since the last look is to outlive the process, in the sums of all. By
            # atexit alone it would not where a server forks workers by multiprocessing.
            self._endings[process] = Finalize(None, self._add_up, exitpriority=0)
            # Where no thread can be had there are no metrics; the request must not suffer.
            with suppress(RuntimeError):
                thread.start()
        self.process = process

    def stop(self) -> None:
        """Stop for good, and answer no more."""
        thread, stopped = self._threads.get(process_id(), (None, None))
        if thread is not None and stopped is not None:
            stopped.set()
            thread.join(timeout=2)
        if ending := self._endings.pop(process_id(), None):
            ending.cancel()
        self._exporter.close()

    def _run(self, stopped: threading.Event) -> None:
        while True:
            try:
                self.look()
                self._exporter.try_to_serve()
            except Exception:
                log.exception("the state of sessions could not be measured; trying again")
            if stopped.wait(INTERVAL):
                return

    def look(self) -> None:
        """Measure now."""
        self._add_up()
        for trouble in TROUBLES:
            fails = any(trouble in store.outages.under_way for store in self._stores)
            self._to.outage.labels(trouble).set(fails)
        pools = [store.occupancy for store in self._stores]
        self._to.connections.labels("idle").set(sum(pool.idle for pool in pools))
        self._to.connections.labels("in_use").set(sum(pool.in_use for pool in pools))
        self._to.waiting.set(sum(pool.waiting for pool in pools))
        self._count_waits(sum(pool.waits for pool in pools))
        if self._exporter.is_serving and time.monotonic() >= self._next_count:
            self._next_count = time.monotonic() + MINUTE
            self._count_backlog()

    def _count_waits(self, waits: int) -> None:
        process = process_id()
        self._to.waits.inc(waits - self._waits.get(process, 0))
        self._waits[process] = waits

    def _count_backlog(self) -> None:
        """It may be that nobody knows, and nothing is then better than what was true once."""
        try:
            self._to.backlog.set(sum(store.backlog(self._clock()) for store in self._stores))
        except StoreUnavailable:
            self._to.backlog.set(math.nan)
