"""Whether a clock may be swept by: what it takes for expired is gone for good (W2).

The database's clock is asked where it has one of its own. Besides, the clock must have run as the
monotonic one has: if it leapt, it is wrong now, or was wrong before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from myapp.sessions.core.errors import DoubtfulClock
from myapp.sessions.core.lifetime import LEAP, MINUTE, Clock, shown
from myapp.sessions.core.store import SessionStore, TellsTime

STEADY: Final = 60 * MINUTE
"""How long the clock must run steadily after a leap that no database has confirmed."""


def steady_now() -> int:
    """Milliseconds since some moment, of a suspended machine too where the system counts those."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    return time.monotonic_ns() // 1_000_000


class TrustedClock:
    """A clock to sweep by, which may refuse to tell the time."""

    def __init__(
        self, store: SessionStore, clock: Clock, steady: Callable[[], int] = steady_now
    ) -> None:
        """`steady`: milliseconds of a clock that nobody sets."""
        self._store, self._clock, self._steady = store, clock, steady
        # How far the clock is ahead of the steady one, while it is trusted;
        self._trusted = clock() - steady()
        # and after a leap: how far, and since when.
        self._leapt: tuple[int, int] | None = None

    def __call__(self) -> int:
        """The present moment. Raises DoubtfulClock, and whatever asking the store raises."""
        now, steady = self._clock(), self._steady()
        theirs = self._store.now() if isinstance(self._store, TellsTime) else None
        if theirs is not None and abs(theirs - now) > LEAP:
            raise _doubt(now, "but the database's clock says", theirs)
        expected = steady + self._trusted
        if not self._ran_steadily(now - steady, steady, confirmed=theirs is not None):
            raise _doubt(now, "but the time that has passed since makes it", expected)
        return now

    def _ran_steadily(self, ahead: int, steady: int, *, confirmed: bool) -> bool:
        if abs(ahead - self._trusted) <= LEAP:
            # As before, or back again after a leap.
            self._trusted, self._leapt = ahead, None
            return True
        if confirmed:
            # It was wrong before; the next sweep goes by the new time.
            self._trusted, self._leapt = ahead, None
            return False
        if self._leapt is None or abs(ahead - self._leapt[0]) > LEAP:
            self._leapt = ahead, steady
        if steady - self._leapt[1] < STEADY:
            return False
        self._trusted, self._leapt = ahead, None
        return True


def _doubt(now: int, words: str, other: int) -> DoubtfulClock:
    return DoubtfulClock(
        f"nothing was swept: this machine's clock says {shown(now)}, {words} {shown(other)}"
    )
