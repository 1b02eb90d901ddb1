"""Mistakes of touch, lock and unlock."""

from __future__ import annotations

from msgspec.structs import replace

from myapp.sessions.core.store import StoredSession
from myapp.sessions.testing.memory_store import MemoryStore
from tests.sessions.broken.planting import planted


class Touches(MemoryStore):
    """A touch also does something to the row."""

    def also(self, row: StoredSession) -> StoredSession:
        raise NotImplementedError

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        with self._lock:
            later = {"seen_at": seen_at, "expires_at": expires_at}
            touched = super().touch(digest, **later, not_since=not_since)
            if touched:
                self._rows[digest] = self.also(self._rows[digest])
            return touched


@planted
class TouchMovesTheVersion(Touches):
    """A save that was under way fails."""

    def also(self, row: StoredSession) -> StoredSession:
        return replace(row, version=row.version + 1)


@planted
class TouchWritesData(Touches):
    """What was saved meanwhile is lost."""

    def also(self, row: StoredSession) -> StoredSession:
        return replace(row, data=b"\x91\x80old")


@planted
class TouchMovesTheDeadline(Touches):
    """A session that is used lives for ever."""

    def also(self, row: StoredSession) -> StoredSession:
        return replace(row, deadline=row.deadline + row.seen_at - row.created_at)


@planted
class TouchFreesTheLock(Touches):
    """A request that only reads lets others in."""

    def also(self, row: StoredSession) -> StoredSession:
        self._locks.pop(row.digest, None)
        return row


@planted
class TouchOutlivesTheDeadline(MemoryStore):
    """The idle clock counts for more than the deadline."""

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        with self._lock:
            later = {"seen_at": seen_at, "expires_at": expires_at}
            touched = super().touch(digest, **later, not_since=not_since)
            if touched:
                self._rows[digest] = replace(self._rows[digest], expires_at=expires_at)
            return touched


@planted
class TouchesAlways(MemoryStore):
    """Each request writes."""

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        later = {"seen_at": seen_at, "expires_at": expires_at}
        return super().touch(digest, **later, not_since=2**62)


@planted
class LockMovesTheVersion(MemoryStore):
    """Whoever holds the lock can't save."""

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        with self._lock:
            locked = super().lock(digest, owner, now=now, until=until)
            if locked:
                row = self._rows[digest]
                self._rows[digest] = replace(row, version=row.version + 1)
            return locked


@planted
class AnybodyUnlocks(MemoryStore):
    """Whoever did not get the lock gives it back all the same."""

    def unlock(self, digest: bytes, owner: str) -> None:
        self._locks.pop(digest, None)


@planted
class LockNeverExpires(MemoryStore):
    """A process that died holds up a session for ever."""

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        return super().lock(digest, owner, now=now, until=2**62)


@planted
class LockIsNotExtended(MemoryStore):
    """Its owner believes to have the lock for longer."""

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        if self._locks.get(digest, ("", 0))[0] == owner:
            return True
        return super().lock(digest, owner, now=now, until=until)


@planted
class LocksMarkers(MemoryStore):
    """What has ended can be locked."""

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        ended = digest in self._rows and self._live(digest) is None
        return ended or super().lock(digest, owner, now=now, until=until)
