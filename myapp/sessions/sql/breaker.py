"""After a failed connect, don't let every request wait for the next one to fail (L8).

For a short, growing pause nobody tries; then one at a time does, and the others go on failing at
once, so that threads waiting for a dead database don't starve the pages that need none.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

from myapp.sessions.core.errors import StoreUnavailable

FIRST_PAUSE: Final = 0.25  # seconds
LONGEST_PAUSE: Final = 5.0
STUCK: Final = 0.5
"""So long may one thread wait for a connection before others no longer try."""


class Breaker:
    """Says whether a connection may be tried now. Shared by all threads of a process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._trying: dict[int, float] = {}  # by thread, since when
        self._open = False
        self._probing: int | None = None  # the thread
        self._pause = FIRST_PAUSE
        self._until = 0.0
        self._reason = ""

    def admit(self) -> None:
        """Return if the caller may try; who may must report `succeeded` or `failed`, and
        in the same thread.

        Raises StoreUnavailable at once if not.
        """
        self._refuse_while_stuck()
        if self._open:
            with self._lock:
                self._admit_one()
        self._trying[threading.get_ident()] = self._monotonic()

    @property
    def is_stuck(self) -> bool:
        """Whether somebody has waited for a connection for long already."""
        since = list(self._trying.values())
        return bool(since) and self._monotonic() - min(since) > STUCK

    def _refuse_while_stuck(self) -> None:
        """Don't let every thread join the one that waits."""
        if self._trying and self.is_stuck:
            raise StoreUnavailable("no connection is to be had at the moment")

    def _admit_one(self) -> None:
        if self._open:
            left = self._until - self._monotonic()
            if left > 0 or self._probing is not None:
                raise StoreUnavailable(self._reason, max(1, math.ceil(left)))
            self._probing = threading.get_ident()

    def succeeded(self) -> None:
        """A connection was had: everybody may try again."""
        self._trying.pop(threading.get_ident(), None)
        if self._open:
            with self._lock:
                self._open, self._probing = False, None
                self._pause = FIRST_PAUSE

    def failed(self, reason: str) -> StoreUnavailable:
        """No connection was had: begin a pause, longer than the last. The error to raise."""
        self._trying.pop(threading.get_ident(), None)
        with self._lock:
            # Threads that were already under way when the first one failed don't lengthen it.
            if not self._open or self._probing == threading.get_ident():
                self._until = self._monotonic() + self._pause
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                self._probing = None
            self._open, self._reason = True, reason
            return StoreUnavailable(reason, max(1, math.ceil(self._until - self._monotonic())))
