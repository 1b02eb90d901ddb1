"""How sessions are written by SQL statements; others run and commit them.

Nothing here is an upsert: a row is inserted once, and updated only where its version says that it
is still the one that was read (S3). Nothing here rolls back, as the transaction may be somebody
else's: what could refuse a write is asked, and locked, before anything is written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final

from msgspec.structs import asdict
from sqlalchemy import Executable

import myapp.sessions.sql.statements as sql
from myapp.sessions.core.lifetime import MINUTE
from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.sql.encoding import encodable

Values = dict[str, Any]

_LEFT_TO_SWEEP: Final = 60 * MINUTE
"""How much longer, at most, a marker that was made in place may stay."""

_DIGEST_OF = attrgetter("digest")


class SqlWriter(ABC):
    """Writes on a connection that somebody else commits, be it by autocommit."""

    __slots__ = ("_dialect", "codec")

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self.codec: str | None = None
        """That of a database that lacks some characters, see `encoding`."""

    @abstractmethod
    def execute(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """Run one statement with its values; how many rows it met, changed or not."""

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        """As SessionStore has it."""
        if endings:
            if not self._hold(endings):
                return False
            self.end(endings)
        self.execute(sql.insert_one, self._row(new))
        return True

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        """As SessionStore has it."""
        if endings and not self._hold(endings, (changed.digest, version)):
            return False
        updated = self._change(sql.update_one, _changes(changed, version))
        if endings and updated:
            self.end(endings)
        return updated

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        """As SessionStore has it."""
        if endings and not self._hold(endings, (old.digest, version)):
            return False
        values = _place(old.digest, version) | _marker(old)
        values |= {"now": new.seen_at, "b_handle": new.handle}
        if renews_at_once(self._dialect):
            row = {f"new_{name}": value for name, value in self._row(new).items()}
            renewed = self.execute(sql.renew_at_once, values | row) == 1
        else:
            renewed = self._change(sql.give_way, values)
            if renewed:
                self.execute(sql.insert_one, self._row(new))
        if endings and renewed:
            self.end(endings)
        return renewed

    def end(self, endings: Sequence[Ending]) -> int:
        """As SessionStore has it."""
        return sum(map(self._end_one, sorted(endings, key=_DIGEST_OF)))

    def _end_one(self, ending: Ending) -> bool:
        anyway = ending.version is None
        values = _place(ending.digest, ending.version)
        if ending.expires_at is None:
            return self.execute(sql.remove if anyway else sql.remove_at_version, values) == 1
        mark = sql.mark if anyway else sql.mark_at_version
        return self._change(mark, values | _marker(ending))

    def _change(self, change: sql.Change, values: Values) -> bool:
        """Change one row; whether it was as the statement wants it."""
        if self._dialect == "sqlite" and self.execute(change.in_place, values) == 1:
            return True
        return self.execute(change.anyhow, values) == 1

    def _row(self, session: StoredSession) -> Values:
        row = _row(session)
        if self.codec is not None:
            row["user_agent"] = encodable(session.user_agent, self.codec)
        return row

    def _hold(self, endings: Sequence[Ending], *own: tuple[bytes, int]) -> bool:
        """Lock all rows of a write, by updates that change nothing; whether its conditions hold.

        In the order of the digests: of two writes that meet, one waits for the other, and never
        both. An ending without a version is no condition, but its row is locked in its turn.
        """
        rows = [*own, *((ending.digest, ending.version) for ending in endings)]
        for digest, version in sorted(rows, key=itemgetter(0)):
            hold = sql.hold_live if version is None else sql.hold_at_version
            held = self.execute(hold, _place(digest, version)) == 1
            if not held and version is not None:
                return False
        return True


def renews_at_once(dialect: str) -> bool:
    """Whether a database can end a row and insert another in one statement."""
    return dialect == "postgresql"


def _place(digest: bytes, version: int | None) -> Values:
    return {"b_digest": digest} if version is None else {"b_digest": digest, "b_version": version}


def _row(session: StoredSession) -> Values:
    return asdict(session) | {"sweep_at": session.expires_at}


def _changes(changed: StoredSession, version: int) -> Values:
    return {
        "b_digest": changed.digest,
        "b_version": version,
        "version": changed.version,
        "data": changed.data,
        "seen_at": changed.seen_at,
        "expires_at": changed.expires_at,
        "deadline": changed.deadline,
    }


def _marker(ending: Ending) -> Values:
    expires_at = ending.expires_at or 0
    return {
        "ended": ending.reason,
        "data": ending.data,
        "expires_at": expires_at,
        "swept_by": expires_at + _LEFT_TO_SWEEP,
    }
