"""Mistakes of insert and update."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.testing.memory_store import MemoryStore
from tests.sessions.broken.planting import planted


@planted
class InsertsOver(MemoryStore):
    """Another session is stored in the place of one that is there: an upsert."""

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        with self._lock:
            if self._allow(endings):
                self._rows.pop(new.digest, None)
            return super().insert(new, endings)


@planted
class InsertsOverMarkers(MemoryStore):
    """The token of a session that was ended can be used again."""

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        with self._lock:
            if (present := self._rows.get(new.digest)) is not None and present.ended:
                del self._rows[new.digest]
            return super().insert(new, endings)


@planted
class EndsBeforeItInserts(MemoryStore):
    """An insert that fails has ended others."""

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        if not self._allow(endings):
            return False
        self.end(endings)
        return super().insert(new)


@planted
class InsertsWhateverTheCondition(MemoryStore):
    """The versions of endings are no conditions."""

    def _allow(self, endings: Sequence[Ending]) -> bool:
        return True


@planted
class UpdatesAnyVersion(MemoryStore):
    """A save that read an older version is made."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        present = self._live(changed.digest)
        return super().update(changed, present.version if present else version, endings)


@planted
class UpdatesOlderVersions(MemoryStore):
    """A version that the session has not reached is taken for good."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        present = self._live(changed.digest)
        return super().update(
            changed, min(present.version, version) if present else version, endings
        )


@planted
class Upserts(MemoryStore):
    """A save stores what is gone."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        if changed.digest not in self._rows:
            return self.insert(changed, endings)
        return super().update(changed, version, endings)


class Keeps(MemoryStore):
    """An update leaves one field as it was, or takes one that is none of its own."""

    kept: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        with self._lock:
            before = self._rows.get(changed.digest)
            updated = super().update(changed, version, endings)
            if updated and before is not None:
                fields = {name: getattr(before, name) for name in self.kept}
                fields |= {name: getattr(changed, name) for name in self.taken}
                self._rows[changed.digest] = replace(self._rows[changed.digest], **fields)
            return updated


for field in ("data", "seen_at", "expires_at", "deadline", "version"):
    planted(type(f"UpdateKeeps_{field}", (Keeps,), {"kept": (field,)}))
for field in (
    *("user_id", "manager", "handle", "created_at", "signed_in_at", "generation"),
    *("address", "user_agent"),
):
    planted(type(f"UpdateTakes_{field}", (Keeps,), {"taken": (field,)}))


@planted
class ShortensTheDeadlineOnly(MemoryStore):
    """A deadline can be moved nearer, and not away."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        present = self._live(changed.digest, version)
        nearest = min(changed.deadline, present.deadline) if present else changed.deadline
        return super().update(replace(changed, deadline=nearest), version, endings)


@planted
class UpdateEndsNobody(MemoryStore):
    """What a merge absorbed lives on."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        return self._allow(endings) and super().update(changed, version)


@planted
class UpdateEndsFirst(MemoryStore):
    """A save that fails has ended others."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        if self._allow(endings):
            self.end(endings)
            endings = ()
        return super().update(changed, version, endings)


@planted
class UpdatesWhatExpired(MemoryStore):
    """A slow request revives a session that was dead."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        with self._lock:
            present = self._live(changed.digest, version)
            if present is not None:
                self._rows[changed.digest] = replace(present, expires_at=2**62)
            return super().update(changed, version, endings)


@planted
class MovesLastSeenBack(MemoryStore):
    """A slow save brings the end nearer."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        with self._lock:
            present = self._live(changed.digest, version)
            if present is not None and present.seen_at > changed.seen_at:
                self._rows[changed.digest] = replace(present, seen_at=changed.seen_at)
            return super().update(changed, version, endings)


@planted
class UpdateFreesTheLock(MemoryStore):
    """What is saved inside a lock is no longer locked."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        self._locks.pop(changed.digest, None)
        return super().update(changed, version, endings)
