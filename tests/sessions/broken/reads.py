"""Mistakes of what only reads: load, find, of_user and iterate; and of what a row holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.testing.memory_store import MemoryStore
from tests.sessions.broken.planting import planted


@planted
class LoadsTheLiving(MemoryStore):
    """Markers are not shown to the caller, who has to judge them."""

    def load(self, digests: Sequence[bytes]) -> Sequence[StoredSession]:
        return [row for row in super().load(digests) if row.ended is None]


@planted
class LoadsByPrefix(MemoryStore):
    """Two digests are one without regard to case."""

    def load(self, digests: Sequence[bytes]) -> Sequence[StoredSession]:
        wanted = {digest.lower() for digest in digests}
        return [row for row in list(self._rows.values()) if row.digest.lower() in wanted]


@planted
class FindsAcrossManagers(MemoryStore):
    """A handle of one manager ends a session of another one."""

    def find(self, manager: str, handle: str) -> StoredSession | None:
        rows = list(self._rows.values())
        return next((row for row in rows if row.handle == handle and row.ended is None), None)


@planted
class FindsTheUnexpired(MemoryStore):
    """The store judges by itself what is expired."""

    def find(self, manager: str, handle: str) -> StoredSession | None:
        found = super().find(manager, handle)
        return found if found is not None and found.expires_at > found.seen_at else None


@planted
class ListsAllManagers(MemoryStore):
    """The sessions of a user are those of every manager."""

    def of_user(self, manager: str, user_id: str, now: int) -> Sequence[StoredSession]:
        rows = [r for r in list(self._rows.values()) if r.user_id == user_id and r.expires_at > now]
        live = [row for row in rows if row.ended is None]
        return sorted(live, key=lambda row: (-row.seen_at, -row.created_at, row.digest))


@planted
class ListsTheExpired(MemoryStore):
    """Devices are shown that are signed out long since."""

    def of_user(self, manager: str, user_id: str, now: int) -> Sequence[StoredSession]:
        return super().of_user(manager, user_id, 0)


@planted
class ListsFirstSeenFirst(MemoryStore):
    """The list is upside down."""

    def of_user(self, manager: str, user_id: str, now: int) -> Sequence[StoredSession]:
        return super().of_user(manager, user_id, now)[::-1]


@planted
class TellsASignInThatExpired(MemoryStore):
    """The last sign-in is that of a session which nobody has any more."""

    def last_sign_in(self, manager: str, user_id: str, now: int) -> int | None:
        return super().last_sign_in(manager, user_id, 0)


class Batches(MemoryStore):
    """Reads five hundred rows at once, and looks again for the next."""

    def rows(self, manager: str) -> list[StoredSession]:
        return list(super().iterate(manager))


@planted
class SkipsAtTheBorder(Batches):
    """The first row of each batch but the first is left out."""

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        rows = self.rows(manager)
        return (row for n, row in enumerate(rows) if n == 0 or n % 500)


@planted
class DoublesAtTheBorder(Batches):
    """The last row of each batch is the first one of the next."""

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        after, batch = b"", self.rows(manager)[:500]
        while batch:
            yield from batch
            last = after
            after = batch[-1].digest
            batch = [row for row in self.rows(manager) if row.digest >= after][:500]
            if after == last or len(batch) < 2:
                return


@planted
class CountsRowsFromTheStart(Batches):
    """What is deleted meanwhile moves the others past the reader, as with OFFSET."""

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        start = 0
        while batch := self.rows(manager)[start : start + 500]:
            yield from batch
            start += 500


@planted
class ReadsOneBatch(Batches):
    """A thousand rows, and no more."""

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        return iter(self.rows(manager)[:1000])


@planted
class IteratesOverMarkers(MemoryStore):
    """What has ended is a session, too."""

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        return iter([row for row in list(self._rows.values()) if row.manager == manager])


@planted
class IteratesOverAllManagers(MemoryStore):
    """The sessions of one manager are those of all."""

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        return iter([row for row in list(self._rows.values()) if row.ended is None])


class Loses(MemoryStore):
    """A column cannot hold what it is given."""

    def kept(self, row: StoredSession) -> StoredSession:
        raise NotImplementedError

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        return super().insert(self.kept(new), endings)


@planted
class CutsData(Loses):
    """The column is a BLOB of MySQL's, of 64 KiB."""

    def kept(self, row: StoredSession) -> StoredSession:
        return replace(row, data=row.data[:65_535])


@planted
class Ends2038(Loses):
    """Moments are seconds of 32 bits."""

    def kept(self, row: StoredSession) -> StoredSession:
        return replace(row, deadline=min(row.deadline, 2**31 * 1000))


@planted
class FoldsNames(Loses):
    """Users are one without regard to case."""

    def kept(self, row: StoredSession) -> StoredSession:
        return replace(row, user_id=row.user_id and row.user_id.lower())


@planted
class KeepsSeconds(Loses):
    """Moments are whole seconds."""

    def kept(self, row: StoredSession) -> StoredSession:
        at = row.signed_in_at
        return replace(row, signed_in_at=at and at // 1000 * 1000)
