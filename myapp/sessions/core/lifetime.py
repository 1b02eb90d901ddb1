"""When a session begins, is touched and ends: arithmetic only.

Every moment is a whole number of milliseconds since 1970 in UTC, every duration whole
milliseconds. The clock is always an argument.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from myapp.sessions.core.store import StoredSession

log = logging.getLogger(__name__)

Clock = Callable[[], int]
"""Answers the present moment in milliseconds since 1970, UTC."""

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
NEVER: Final = 2**62
"""A moment that never comes, but that a database can hold."""
LEAP: Final = 5 * MINUTE
"""A clock that is off by this much is wrong, not just a little fast or slow (L4, W2)."""
_LEAP_IN_NS: Final = LEAP * 1_000_000
MARKER_LIFETIME: Final = 60 * SECOND
"""How long an ended session's marker tells late requests that it was ended (R3)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SteadyClock:
    """The system's clock, except that within this process it takes no small step back (L4).

    When the system's time steps back by less than LEAP, this clock goes on at the pace of the
    monotonic clock until the system's has caught up. A larger step is followed at once, with an
    error in the log: then the time before it was wrong, and nobody knows for how long.
    """

    def __init__(
        self,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        # What to add to the monotonic clock.
        self._offset = wall() - monotonic()

    def __call__(self) -> int:
        """The present moment in milliseconds since 1970."""
        # In this order: a process that is stopped in between is not ahead afterwards.
        wall = self._wall()
        steady = self._monotonic()
        offset = wall - steady
        # Without a lock, which a fork could leave held: what a slower thread overwrites here, the
        # next call finds again, since the system's clock still says it.
        if offset > self._offset:
            self._offset = offset
        elif self._offset - offset >= _LEAP_IN_NS:
            _tell_of_leap(before=steady + self._offset, now=steady + offset)
            self._offset = offset
        return (steady + self._offset) // 1_000_000


def _tell_of_leap(*, before: int, now: int) -> None:
    log.error(
        "the system clock was set back from %s to %s; sessions follow it",
        shown(before // 1_000_000),
        shown(now // 1_000_000),
    )


def to_datetime(moment: int) -> datetime:
    """A moment as an aware datetime in UTC."""
    return _EPOCH + timedelta(milliseconds=moment)


def shown(moment: int) -> str:
    """A moment for people; a broken clock does no harm."""
    try:
        return to_datetime(moment).isoformat(timespec="seconds")
    except OverflowError:
        return f"{moment} ms since 1970"


def from_datetime(when: datetime) -> int:
    """An aware datetime as a moment."""
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no time zone: a deadline must be an aware datetime")
    return (when - _EPOCH) // timedelta(milliseconds=1)


def expiry(seen_at: int, deadline: int, idle_timeout: int | None) -> int:
    """The moment from which a session last seen at `seen_at` is dead."""
    return deadline if idle_timeout is None else min(deadline, seen_at + idle_timeout)


def is_expired(now: int, row: StoredSession, idle_timeout: int | None) -> bool:
    """Whether a row is dead, by its own limits or by today's idle timeout if that is shorter.

    A row from the future (another machine's clock is ahead) counts as seen just now.
    """
    if now >= row.expires_at or now >= row.deadline:
        return True
    # A marker's time is its own: it says nothing of when anybody was there.
    return idle_timeout is not None and row.ended is None and now >= row.seen_at + idle_timeout


def touch_due(now: int, seen_at: int, interval: int) -> bool:
    """Whether the idle clock of a session last seen at `seen_at` is to be moved."""
    return now - seen_at >= interval


def max_age(*, now: int, deadline: int) -> int:
    """A cookie's Max-Age in whole seconds: never more than what is left (R5)."""
    return max(0, (deadline - now) // SECOND)
