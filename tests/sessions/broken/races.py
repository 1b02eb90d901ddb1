"""What looks first and acts then, as if on two connections to a database."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from myapp.sessions.core.store import Ending, StoredSession
from tests.sessions.broken.planting import Gap, planted


@planted
class UpdatesWithoutComparing(Gap):
    """Of two updates at once both are made."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        present = self._live(changed.digest, version)
        self.gap()
        if present is None or not present.seen_at <= changed.seen_at < present.expires_at:
            return False
        with self._lock:
            if self._rows.get(changed.digest, present).version > version:
                self._rows[changed.digest] = present
            return super().update(changed, version, endings)


@planted
class RevivesByUpdating(Gap):
    """A save that has looked before the end writes the session anew."""

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        present = self._live(changed.digest, version)
        self.gap()
        with self._lock:
            now = self._rows.get(changed.digest)
            if present is not None and now is not None and now.ended:
                self._rows[changed.digest] = replace(present, version=changed.version)
                return True
            return super().update(changed, version, endings)


@planted
class RevivesByTouching(Gap):
    """A touch that has looked before the end writes the session anew."""

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        present = self._live(digest)
        self.gap()
        if present is None or present.seen_at > not_since or present.expires_at <= seen_at:
            return False
        with self._lock:
            self._rows[digest] = replace(
                self._live(digest) or present,
                seen_at=seen_at,
                expires_at=min(expires_at, present.deadline),
            )
        return True


@planted
class RenewsWithoutComparing(Gap):
    """Of two renewals at once both are made."""

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        present = self._live(old.digest, version)
        self.gap()
        with self._lock:
            if present is not None:
                self._rows[old.digest] = present
            return super().renew(old, version, new, endings)


@planted
class TouchesWithoutComparing(Gap):
    """Of many touches at once several are made."""

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        present = self._live(digest)
        due = present is not None and present.seen_at <= not_since < present.expires_at
        self.gap()
        later = {"seen_at": seen_at, "expires_at": expires_at}
        return super().touch(digest, **later, not_since=seen_at if due else not_since)


@planted
class LocksWithoutComparing(Gap):
    """Of many that lock at once several do."""

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        holder, locked_until = self._locks.get(digest, (owner, 0))
        is_free = self._live(digest) is not None and (locked_until <= now or holder == owner)
        self.gap()
        if is_free:
            self._locks[digest] = owner, until
        return is_free


@planted
class InsertsWithoutComparing(Gap):
    """Of two inserts of one digest at once both are made."""

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        is_used = new.digest in self._rows
        self.gap()
        with self._lock:
            if not is_used:
                self._rows.pop(new.digest, None)
            return super().insert(new, endings)


@planted
class CountsAnEndTwice(Gap):
    """Each of two that end a session at once believes that it did."""

    # Each write that ends others comes this way, too, and meets nobody.
    patience = 0.02

    def end(self, endings: Sequence[Ending]) -> int:
        live = sum(self._live(each.digest, each.version) is not None for each in endings)
        self.gap()
        super().end(endings)
        return live


@planted
class SweepsWhatItHasSeen(Gap):
    """The deletion does not tell again what is expired."""

    def sweep(self, now: int, limit: int) -> int:
        due = [row.digest for row in list(self._rows.values()) if row.expires_at <= now][:limit]
        self.gap()
        for digest in due:
            self._rows.pop(digest, None)
        return len(due)
