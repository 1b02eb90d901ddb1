"""Deletes expired rows, a batch at a time, from a thread of its own or by a command.

Any number of processes may sweep one table: each deletion tests expiry again, and a row that is
gone already is nobody's loss. What is deleted can't be had back, so a clock that is contradicted is
not swept by (W2). The thread starts with the first request of its process, so that a
server which loads the application and then forks has sweepers in its workers alone.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from myapp.sessions.core.errors import DoubtfulClock, SessionError, StoreUnavailable
from myapp.sessions.core.fork import process_id
from myapp.sessions.core.lifetime import SECOND, Clock
from myapp.sessions.core.store import SessionStore
from myapp.sessions.core.trust import TrustedClock

log = logging.getLogger(__name__)

BATCH: Final = 50
"""Rows per deletion; few enough that nobody waits long for it."""

SHARE: Final = 0.01
"""The part of its time in which the thread sweeps. Every request competes with it for the machine,
and nobody waits for the rows to go."""

TRY_AGAIN: Final = 60
"""Seconds to wait after a thread could not be started."""


def sweep(store: SessionStore, clock: Clock, batch: int = BATCH) -> Iterator[int]:
    """Delete what is expired now; yields after each batch how many rows it looked at."""
    now = clock()
    while looked_at := store.sweep(now, batch):
        yield looked_at
        if looked_at < batch:
            return


def pause_after(took: float, share: float = SHARE) -> float:
    """How many seconds to wait after a batch that took so many: longer where all is slow."""
    return took * (1 - share) / share


class Run:
    """The sweeping of one process: its thread, and the word to end."""

    def __init__(self, sweep: Callable[[threading.Event], None]) -> None:
        # Made in the process that uses them: gevent may replace them in a worker just forked.
        self.stopped = threading.Event()
        self.thread = threading.Thread(
            target=sweep, args=(self.stopped,), name="session-sweeper", daemon=True
        )


class Sweeper:
    """Sweeps one store every `interval` milliseconds, more or less, until it is stopped."""

    def __init__(self, store: SessionStore, clock: Clock, interval: int) -> None:
        self._store, self._clock = store, TrustedClock(store, clock)
        self._doubts = False
        self._interval = interval / SECOND
        self._runs: dict[int, Run] = {}
        self._is_stopped = False
        self._not_before = 0.0
        self.process = 0
        """The process in which its thread runs; read at each request, so not a property."""

    def ensure_running(self) -> None:
        """Start the thread of this process if there is none yet. Never raises: the request
        must not suffer.
        """
        process = process_id()
        if self._is_stopped or process in self._runs or time.monotonic() < self._not_before:
            return
        run = Run(self._run)
        try:
            # One of those who come at once starts it, without a lock that another could wait for
            # while the thread starts: it may be a lock that gevent knows nothing of.
            if self._runs.setdefault(process, run) is not run:
                return
            run.thread.start()
            self._started_in(process)
        except BaseException as error:
            self._runs.pop(process, None)
            run.stopped.set()
            if not isinstance(error, Exception):
                raise
            self._put_off(error)

    def _started_in(self, process: int) -> None:
        self.process = process
        if self._not_before:
            self._not_before = 0.0
            log.warning("this process deletes expired sessions again")

    def _put_off(self, error: Exception) -> None:
        """Try again later, and not at each request; the log is told once."""
        if not self._not_before:
            words = "this process can't delete expired sessions: %s; trying again every %d s"
            log.warning(words, error, TRY_AGAIN)
        self._not_before = time.monotonic() + TRY_AGAIN

    @property
    def thread(self) -> threading.Thread | None:
        """The thread of this process, if there is one."""
        run = self._runs.get(process_id())
        return None if run is None else run.thread

    def stop(self) -> None:
        """Stop for good; returns when the thread has ended, within a batch."""
        self._is_stopped = True
        run = self._runs.get(process_id())
        if run is not None:
            run.stopped.set()
            run.thread.join(timeout=1)

    def _run(self, stopped: threading.Event) -> None:
        # The system's randomness, since ours would be the application's, which may have seeded it.
        dice = random.SystemRandom()
        while not stopped.wait(self._interval * dice.uniform(0.5, 1.5)):
            try:
                began = time.monotonic()
                for _ in sweep(self._store, self._clock):
                    if stopped.wait(pause_after(time.monotonic() - began)):
                        return
                    began = time.monotonic()
                self._doubts = False
            except DoubtfulClock as error:
                self._tell_once(error)
            except StoreUnavailable as error:
                # The store has told the log already.
                log.info("sweeping has to wait: %s", error)
            except SessionError as error:
                log.warning("sweeping has to wait: %s", error)
            except Exception:
                log.exception("sweeping failed; trying again later")

    def _tell_once(self, doubt: DoubtfulClock) -> None:
        """Say that the clock is wrong; not again at each turn until it has been right."""
        if not self._doubts:
            log.error("%s", doubt)
        self._doubts = True
