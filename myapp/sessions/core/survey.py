"""What an operator asks of all sessions at once: how many, which, how old, how large.

None of it is needed to serve a request, so it is no part of SessionStore. A store that can answer
better than by looking at each of its sessions has a `survey`; for any other one `survey_of` looks
at what `iterate` gives. No answer holds the data of a session.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from msgspec.structs import replace

from myapp.sessions.core.lifetime import MINUTE, is_expired
from myapp.sessions.core.store import SessionStore, StoredSession

_HOUR: Final = 60 * MINUTE
_DAY: Final = 24 * _HOUR

AGES: Final = (_HOUR, _DAY, 7 * _DAY, 30 * _DAY)
"""Sessions are counted by how long ago they began: up to the first of these, up to the next, …"""
IDLE: Final = (5 * MINUTE, _HOUR, _DAY, 7 * _DAY)
"""And by how long ago they were seen last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which sessions of a manager are meant: those that meet each condition that is not None."""

    manager: str
    live_at: int | None = None
    """Not expired then, by their own limits and by `idle_timeout`. None: expired or not."""
    idle_timeout: int | None = None
    user_id: str | None = None
    address: str | None = None
    began_before: int | None = None
    """A session keeps the moment at which it began when it is renewed; signing in begins one."""
    seen_before: int | None = None

    def has(self, row: StoredSession) -> bool:
        """Whether this session is meant."""
        return (
            row.manager == self.manager
            and (self.live_at is None or not is_expired(self.live_at, row, self.idle_timeout))
            and self.user_id in (None, row.user_id)
            and self.address in (None, row.address)
            and (self.began_before is None or row.created_at < self.began_before)
            and (self.seen_before is None or row.seen_at < self.seen_before)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many sessions of a manager there are; `ages` and `idle` count the live ones."""

    signed_in: int
    anonymous: int
    expired: int
    """Dead, and not yet swept."""
    markers: int | None
    """What ended sessions leave for a minute; None if the store can't tell."""
    ages: Sequence[int]
    idle: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes, as far as the database tells them."""

    table: int | None = None
    indexes: int | None = None
    file: int | None = None
    """Of all that is in the same file."""


class Survey(Protocol):
    """Answers about all sessions of a store. Each may raise StoreUnavailable."""

    def tally(self, manager: str, now: int, idle_timeout: int | None) -> Tally:
        """How many sessions there are, of which kinds and ages."""

    def count(self, which: Which) -> int:
        """How many sessions are meant; no markers."""

    def newest(self, which: Which, limit: int) -> Sequence[StoredSession]:
        """Those that began last, the newest first, without their data."""

    def matching(self, which: Which) -> Iterator[StoredSession]:
        """All that are meant, streamed in batches without their data; rows may come and go."""

    def count_expired(self, now: int) -> int:
        """How many rows a sweep at `now` would delete, markers included where they are known."""

    def size(self) -> Size | None:
        """How much room they take; None if nobody knows."""


@runtime_checkable
class Surveyed(Protocol):
    """What a SessionStore may be besides, if it can answer without looking at each session."""

    @property
    def survey(self) -> Survey:
        """What answers."""


def survey_of(store: SessionStore, manager: str) -> Survey:
    """What answers an operator's questions about a store's sessions."""
    return store.survey if isinstance(store, Surveyed) else ByLooking(store, manager)


def place_in(edges: Sequence[int], duration: int) -> int:
    """In which place a duration is counted; one on an edge belongs to the longer ones."""
    return bisect_right(edges, max(0, duration))


class ByLooking:
    """Looks at each session of one manager, in bounded memory; it never sees markers."""

    def __init__(self, store: SessionStore, manager: str) -> None:
        self._store, self._manager = store, manager

    def tally(self, manager: str, now: int, idle_timeout: int | None) -> Tally:
        signed_in = anonymous = expired = 0
        ages, idle = [0] * (len(AGES) + 1), [0] * (len(IDLE) + 1)
        for row in self._store.iterate(manager):
            if is_expired(now, row, idle_timeout):
                expired += 1
                continue
            signed_in += row.user_id is not None
            anonymous += row.user_id is None
            ages[place_in(AGES, now - row.created_at)] += 1
            idle[place_in(IDLE, now - row.seen_at)] += 1
        return Tally(
            signed_in=signed_in,
            anonymous=anonymous,
            expired=expired,
            markers=None,
            ages=ages,
            idle=idle,
        )

    def count(self, which: Which) -> int:
        return sum(1 for _ in self.matching(which))

    def newest(self, which: Which, limit: int) -> Sequence[StoredSession]:
        by_age = heapq.nlargest(
            limit, self.matching(which), key=lambda row: (row.created_at, row.digest)
        )
        return list(by_age)

    def matching(self, which: Which) -> Iterator[StoredSession]:
        found = (row for row in self._store.iterate(which.manager) if which.has(row))
        return (replace(row, data=b"") for row in found)

    def count_expired(self, now: int) -> int:
        rows = self._store.iterate(self._manager)
        return sum(row.expires_at <= now for row in rows)

    def size(self) -> Size | None:
        return None
