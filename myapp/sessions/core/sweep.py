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
from collections.abc import Iterator
from typing import Final

from myapp.sessions.core.errors import DoubtfulClock, SessionError
from myapp.sessions.core.fork import after_fork_in_child
from myapp.sessions.core.lifetime import SECOND, Clock
from myapp.sessions.core.store import SessionStore
from myapp.sessions.core.trust import TrustedClock

log = logging.getLogger(__name__)

BATCH: Final = 50
"""Rows of one deletion: so few that nobody waits long behind it."""

SHARE: Final = 0.01
"""The part of its time in which the thread sweeps. Every request competes with it for the machine,
and nobody waits for the rows to go."""


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


class Sweeper:
    """Sweeps one store every `interval` milliseconds, more or less, until it is stopped."""

    def __init__(self, store: SessionStore, clock: Clock, interval: int) -> None:
        self._store, self._clock = store, TrustedClock(store, clock)
        self._doubts = False
        self._interval = interval / SECOND
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.running = False
        """Whether this process has its thread; asked at each request, so it is no property."""
        after_fork_in_child(self._forget_thread)

    def ensure_running(self) -> None:
        """Start the thread of this process if there is none yet."""
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                thread = threading.Thread(target=self._run, name="session-sweeper", daemon=True)
                thread.start()
                self._thread, self.running = thread, True

    def stop(self) -> None:
        """Stop for good; returns when the thread has ended, within a batch."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=1)

    def _run(self) -> None:
        # The system's randomness, since ours would be the application's, which may have seeded it.
        dice = random.SystemRandom()
        while not self._stopped.wait(self._interval * dice.uniform(0.5, 1.5)):
            try:
                began = time.monotonic()
                for _ in sweep(self._store, self._clock):
                    if self._stopped.wait(pause_after(time.monotonic() - began)):
                        return
                    began = time.monotonic()
                self._doubts = False
            except DoubtfulClock as error:
                self._tell_once(error)
            except SessionError as error:
                log.warning("sweeping is put off: %s", error)
            except Exception:
                log.exception("sweeping failed, and is tried again later")

    def _tell_once(self, doubt: DoubtfulClock) -> None:
        """Say that the clock is wrong; not again at each turn until it has been right."""
        if not self._doubts:
            log.error("%s", doubt)
        self._doubts = True

    def _forget_thread(self) -> None:
        """In a child just forked there is no such thread, whatever this object remembers."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = None
        self.running = False
