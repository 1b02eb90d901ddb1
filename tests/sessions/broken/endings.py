"""Mistakes of end and end_oldest."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from myapp.sessions.core.store import Ending
from myapp.sessions.testing.memory_store import MemoryStore
from tests.sessions.broken.planting import planted


@planted
class CountsWhatItWasAsked(MemoryStore):
    """What ended already, or is gone, is counted."""

    def end(self, endings: Sequence[Ending]) -> int:
        super().end(endings)
        return len(endings)


@planted
class EndsAgain(MemoryStore):
    """A marker takes the reason, and the time, of a later ending."""

    def _end_one(self, ending: Ending) -> bool:
        row = self._rows.get(ending.digest)
        if row is not None and row.ended and ending.expires_at is not None:
            self._rows[ending.digest] = replace(row, expires_at=ending.expires_at)
        return super()._end_one(ending)


@planted
class DeletesMarkers(MemoryStore):
    """A late request finds no marker, and begins a session."""

    def _end_one(self, ending: Ending) -> bool:
        row = self._rows.get(ending.digest)
        if row is not None and row.ended and ending.expires_at is None:
            del self._rows[ending.digest]
        return super()._end_one(ending)


@planted
class EndsAnyVersion(MemoryStore):
    """What changed since it was read ends all the same."""

    def _end_one(self, ending: Ending) -> bool:
        return super()._end_one(replace(ending, version=None))


@planted
class LeavesNoMarker(MemoryStore):
    """A late request finds nothing, and pushes out a newer cookie."""

    def _end_one(self, ending: Ending) -> bool:
        return super()._end_one(replace(ending, expires_at=None))


class Remembers(MemoryStore):
    """A marker still holds a field of its session."""

    remembered = ""

    def _end_one(self, ending: Ending) -> bool:
        row = self._live(ending.digest, ending.version)
        ended = super()._end_one(ending)
        if row is not None and ended and ending.expires_at is not None:
            kept = {self.remembered: getattr(row, self.remembered)}
            self._rows[ending.digest] = replace(self._rows[ending.digest], **kept)
        return ended


for field in ("user_id", "handle", "data", "generation", "signed_in_at", "version", "expires_at"):
    planted(type(f"MarkerKeeps_{field}", (Remembers,), {"remembered": field}))


@planted
class CountsMarkers(MemoryStore):
    """A session that was ended takes the place of one that lives."""

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        markers = sum(row.ended is not None for row in list(self._rows.values()))
        return super().end_oldest(manager, user_id, max(0, keep - markers), now)


@planted
class CountsTheExpired(MemoryStore):
    """A session that is dead takes the place of one that lives."""

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        return super().end_oldest(manager, user_id, keep, 0)


@planted
class KeepsWhatBeganLast(MemoryStore):
    """The oldest is told by when a session began, and not by the sign-in."""

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        with self._lock:
            live = self.of_user(manager, user_id, now)
            oldest = sorted(live, key=lambda row: (-row.created_at, row.digest))[keep:]
            return self.end([Ending(row.digest, "limit") for row in oldest])


@planted
class KeepsTheGreatestDigests(MemoryStore):
    """Of those that began at once other ones are kept than elsewhere."""

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        with self._lock:
            live = sorted(self.of_user(manager, user_id, now), key=lambda row: row.digest)[::-1]
            oldest = sorted(live, key=lambda row: -(row.signed_in_at or 0))[keep:]
            return self.end([Ending(row.digest, "limit") for row in oldest])


@planted
class EndsOneTooMany(MemoryStore):
    """The number to keep counts the one that goes."""

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        return super().end_oldest(manager, user_id, keep - 1, now)
