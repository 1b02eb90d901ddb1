"""Mistakes of renew."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.testing.memory_store import MemoryStore
from tests.sessions.broken.planting import planted


@planted
class RenewEndsNobodyElse(MemoryStore):
    """The other endings of a renewal are left out."""

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        return self._allow(endings) and super().renew(old, version, new)


@planted
class RenewEndsFirst(MemoryStore):
    """A renewal that fails has ended others."""

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        if self._allow(endings):
            self.end(endings)
            endings = ()
        return super().renew(old, version, new, endings)


@planted
class RenewKeepsTheOld(MemoryStore):
    """The old token opens the session as before."""

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        with self._lock:
            before = self._rows.get(old.digest)
            renewed = super().renew(old, version, new, endings)
            if renewed and before is not None:
                self._rows[old.digest] = before
            return renewed


@planted
class RenewStoresFirst(MemoryStore):
    """A renewal that comes too late stores the new session all the same."""

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        with self._lock:
            self.insert(new)
            present = self._live(old.digest, version)
            if present is None or not self._allow(endings) or present.expires_at <= new.seen_at:
                return False
            self.end([old, *endings])
            return True


@planted
class RenewsAnyVersion(MemoryStore):
    """A renewal that read an older version is made."""

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        present = self._live(old.digest)
        return super().renew(old, present.version if present else version, new, endings)


@planted
class RenewsOver(MemoryStore):
    """The new session is stored in the place of another one."""

    def _refuse_used(self, digest: bytes) -> None:
        self._rows.pop(digest, None)


@planted
class RenewsWhatExpired(MemoryStore):
    """A slow request revives a session that was dead, under a new token."""

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        with self._lock:
            present = self._live(old.digest, version)
            if present is not None:
                self._rows[old.digest] = replace(present, expires_at=2**62)
            return super().renew(old, version, new, endings)
