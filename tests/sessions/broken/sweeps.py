"""Mistakes of sweep."""

from __future__ import annotations

from collections.abc import Sequence

from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.testing.memory_store import MemoryStore
from tests.sessions.broken.planting import planted


class Index(MemoryStore):
    """Keeps apart when to look at a row, as `sweep_at` does."""

    def __init__(self) -> None:
        super().__init__()
        self.due: dict[bytes, int] = {}

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        inserted = super().insert(new, endings)
        if inserted:
            self.due[new.digest] = new.expires_at
        return inserted


@planted
class SweepsByFirstExpiry(Index):
    """What was touched or saved since is deleted."""

    def sweep(self, now: int, limit: int) -> int:
        due = [digest for digest, moment in self.due.items() if moment <= now][:limit]
        for digest in due:
            del self.due[digest]
            self._rows.pop(digest, None)
        return len(due)


@planted
class SweepsNoShortenedDeadline(Index):
    """What was saved with a nearer deadline lies there until the old one."""

    def sweep(self, now: int, limit: int) -> int:
        with self._lock:
            rows = list(self._rows.values())
            due = [r for r in rows if max(r.expires_at, self.due.get(r.digest, 0)) <= now][:limit]
            for row in due:
                del self._rows[row.digest]
            return len(due)


@planted
class SweepsEverything(MemoryStore):
    """A limit is none."""

    def sweep(self, now: int, limit: int) -> int:
        return super().sweep(now, 2**31)


@planted
class SweepsNoMarkers(MemoryStore):
    """The table grows for ever."""

    def sweep(self, now: int, limit: int) -> int:
        with self._lock:
            kept = {digest: row for digest, row in self._rows.items() if row.ended}
            looked_at = super().sweep(now, limit)
            self._rows |= kept
            return looked_at


@planted
class SweepsALittleEarly(MemoryStore):
    """Live rows are deleted."""

    def sweep(self, now: int, limit: int) -> int:
        return super().sweep(now + 1, limit)


@planted
class SweepsALittleLate(MemoryStore):
    """A row is dead from a moment on, that moment included."""

    def sweep(self, now: int, limit: int) -> int:
        return super().sweep(now - 1, limit)
