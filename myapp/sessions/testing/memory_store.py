"""A store that keeps sessions in a dictionary, for tests; it forgets them with the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.store import Ending, StoredSession


class MemoryStore:
    """A SessionStore in the memory of one process."""

    def __init__(self, settings: SessionSettings | None = None) -> None:
        # As `session.store` it is called with the settings, none of which concerns it.
        self._rows: dict[bytes, StoredSession] = {}
        self._locks: dict[bytes, tuple[str, int]] = {}
        self._lock = threading.RLock()

    def load(self, digests: Sequence[bytes]) -> Sequence[StoredSession]:
        with self._lock:
            return [self._rows[digest] for digest in digests if digest in self._rows]

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        with self._lock:
            self._refuse_used(new.digest)
            if not self._allow(endings):
                return False
            self.end(endings)
            self._rows[new.digest] = new
            return True

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        with self._lock:
            present = self._live(changed.digest, version)
            if present is None or not self._allow(endings):
                return False
            if not present.seen_at <= changed.seen_at < present.expires_at:
                return False
            self._rows[changed.digest] = replace(
                present,
                version=changed.version,
                data=changed.data,
                seen_at=changed.seen_at,
                expires_at=changed.expires_at,
                deadline=changed.deadline,
            )
            self.end(endings)
            return True

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        with self._lock:
            present = self._live(old.digest, version)
            if present is None or not self._allow(endings):
                return False
            if present.expires_at <= new.seen_at:
                return False
            self._refuse_used(new.digest)
            self.end([old, *endings])
            self._rows[new.digest] = new
            return True

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        with self._lock:
            present = self._live(digest)
            if present is None or present.seen_at > not_since or present.expires_at <= seen_at:
                return False
            expires_at = min(expires_at, present.deadline)
            self._rows[digest] = replace(present, seen_at=seen_at, expires_at=expires_at)
            return True

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        with self._lock:
            holder, locked_until = self._locks.get(digest, (owner, 0))
            if self._live(digest) is None or (locked_until > now and holder != owner):
                return False
            self._locks[digest] = owner, until
            return True

    def unlock(self, digest: bytes, owner: str) -> None:
        with self._lock:
            if self._locks.get(digest, ("", 0))[0] == owner:
                del self._locks[digest]

    def end(self, endings: Sequence[Ending]) -> int:
        with self._lock:
            return sum(self._end_one(ending) for ending in endings)

    def find(self, manager: str, handle: str) -> StoredSession | None:
        return next((row for row in self.iterate(manager) if row.handle == handle), None)

    def of_user(self, manager: str, user_id: str, now: int) -> Sequence[StoredSession]:
        mine = [r for r in self.iterate(manager) if r.user_id == user_id and r.expires_at > now]
        return sorted(mine, key=lambda row: (-row.seen_at, -row.created_at, row.digest))

    def last_sign_in(self, manager: str, user_id: str, now: int) -> int | None:
        moments = [row.signed_in_at for row in self.of_user(manager, user_id, now)]
        return max((each for each in moments if each is not None), default=None)

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        with self._lock:
            live = self.of_user(manager, user_id, now)
            oldest = sorted(live, key=lambda row: (-(row.signed_in_at or 0), row.digest))[keep:]
            return self.end([Ending(row.digest, "limit") for row in oldest])

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        with self._lock:
            rows = sorted(self._rows.values(), key=lambda row: row.digest)
        return (row for row in rows if row.manager == manager and row.ended is None)

    def sweep(self, now: int, limit: int) -> int:
        with self._lock:
            due = [row.digest for row in self._rows.values() if row.expires_at <= now][:limit]
            for digest in due:
                del self._rows[digest]
            return len(due)

    def check(self) -> None:
        """There is nothing that could be missing."""

    def close(self) -> None:
        """There is nothing to give back."""

    def _refuse_used(self, digest: bytes) -> None:
        if digest in self._rows:
            raise ValueError("a digest is inserted once")

    def _live(self, digest: bytes, version: int | None = None) -> StoredSession | None:
        row = self._rows.get(digest)
        if row is None or row.ended is not None or version not in (None, row.version):
            return None
        return row

    def _allow(self, endings: Sequence[Ending]) -> bool:
        guarded = [ending for ending in endings if ending.version is not None]
        return all(self._live(ending.digest, ending.version) for ending in guarded)

    def _end_one(self, ending: Ending) -> bool:
        present = self._live(ending.digest, ending.version)
        if present is None:
            return False
        if ending.expires_at is None:
            del self._rows[ending.digest]
        else:
            self._rows[ending.digest] = StoredSession(
                digest=ending.digest,
                manager=present.manager,
                handle=None,
                version=present.version + 1,
                data=ending.data,
                created_at=present.created_at,
                seen_at=present.seen_at,
                deadline=ending.expires_at,
                expires_at=ending.expires_at,
                ended=ending.reason,
            )
        return True
