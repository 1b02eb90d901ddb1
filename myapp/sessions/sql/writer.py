"""How sessions are written by SQL statements, whoever runs and commits them.

Nothing here is an upsert: a row is inserted once, and updated only where its version says that it
is still the one that was read (S3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Executable

import myapp.sessions.sql.statements as sql
from myapp.sessions.core.store import Ending, StoredSession


class SqlWriter(ABC):
    """Writes on a connection that somebody else commits, be it by autocommit."""

    __slots__ = ("_dialect",)

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    @abstractmethod
    def execute(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """Run one statement with its values; how many rows it met."""

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> None:
        """As SessionStore has it."""
        self.end(endings)
        self.execute(sql.insert_one, _row(new))

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        """As SessionStore has it."""
        values = _changes(changed, version)
        updated = False
        if self._dialect == "sqlite":
            updated = self.execute(sql.update_unless_sooner, values) == 1
        if not updated:
            updated = self.execute(sql.update_one, values) == 1
        if updated and endings:
            self.end(endings)
        return updated

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        """As SessionStore has it."""
        values = {"b_digest": old.digest, "b_version": version, "now": new.seen_at}
        if renews_at_once(self._dialect):
            row = {f"new_{name}": value for name, value in _row(new).items()}
            renewed = self.execute(sql.renew_at_once, values | _marker(old) | row) == 1
        else:
            renewed = self.execute(sql.mark_at_version, values | _marker(old)) == 1
            if renewed:
                self.execute(sql.insert_one, _row(new))
        if renewed:
            self.end(endings)
        return renewed

    def end(self, endings: Sequence[Ending]) -> int:
        """As SessionStore has it."""
        return sum(self._end_one(ending) for ending in endings)

    def _end_one(self, ending: Ending) -> bool:
        values = {"b_digest": ending.digest}
        if ending.expires_at is None:
            return self.execute(sql.remove, values) == 1
        return self.execute(sql.mark, values | _marker(ending)) == 1


def renews_at_once(dialect: str) -> bool:
    """Whether a database can end a row and insert another in one statement."""
    return dialect == "postgresql"


def _row(session: StoredSession) -> dict[str, Any]:
    return {name: getattr(session, name) for name in StoredSession.__struct_fields__} | {
        "sweep_at": session.expires_at
    }


def _changes(changed: StoredSession, version: int) -> dict[str, Any]:
    return {
        "b_digest": changed.digest,
        "b_version": version,
        "version": changed.version,
        "data": changed.data,
        "seen_at": changed.seen_at,
        "expires_at": changed.expires_at,
        "deadline": changed.deadline,
    }


def _marker(ending: Ending) -> dict[str, Any]:
    return {"ended": ending.reason, "data": ending.data, "expires_at": ending.expires_at}
