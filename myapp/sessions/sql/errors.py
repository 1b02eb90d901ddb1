"""What a driver's errors mean to the users of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Table

from myapp.database import is_lost_race, reason_of
from myapp.sessions.core.errors import SchemaError, SessionError, StoreUnavailable
from myapp.sessions.sql import model

MIGRATE: Final = (
    "run `alembic upgrade head`, with DATABASE_URL if the sessions have a database of their own;"
    " if alembic does not know the table, `myapp-sessions INI schema` prints its SQL"
)

# Our table has always had these columns.
_ALWAYS_OURS: Final = frozenset({"digest", "manager"})

# An undefined table or column: of PostgreSQL, and of MariaDB and MySQL.
_UNDEFINED: Final = frozenset({"42P01", "42703", 1054, 1109, 1146})

# The server, the role or the user has as many connections as it may. libpq gives no code for what
# goes wrong at a connect.
_FULL: Final = frozenset({"53300", 1040, 1203, 1226})
_FULL_IN_WORDS: Final = (
    "too many clients already",
    "too many connections",
    "connection slots are reserved",
    "no more connections allowed",
    "Too many open files",
)

_WAITED_IN_VAIN: Final = 1205
_SQLITE_BUSY_SNAPSHOT: Final = 517


def missing_table(table: Table) -> SchemaError:
    """There is none of that name."""
    known = f"there is no table {table.fullname!r}: {MIGRATE}"
    if table is model.table:
        return SchemaError(known)
    return SchemaError(
        f"{known}. If alembic finds nothing to do, it ran for another table or another"
        " application: give database.version_table a name of its own"
    )


def old_table(table: Table, missing: Sequence[str]) -> SchemaError:
    """The table lacks columns that were added since it was made."""
    lacks = ", ".join(missing)
    return SchemaError(f"the table {table.fullname!r} is out of date, it lacks {lacks}: {MIGRATE}")


def is_foreign(missing: Sequence[str]) -> bool:
    """Whether a table that lacks these columns is somebody else's."""
    return not _ALWAYS_OURS.isdisjoint(missing)


def foreign_table(table: Table) -> SchemaError:
    """Another application has a table of that name."""
    return SchemaError(
        f"the table {table.fullname!r} belongs to another application or package, not to"
        " myapp.sessions: choose another name with the setting session.table (for a further"
        " manager, with its prefix)"
    )


class ConnectionLost(StoreUnavailable):
    """The connection broke, before or while a statement ran on it.

    `prompt`: so soon that it must have been dead all along; `read_only`: it was given up only
    since its server takes no writes.
    """

    def __init__(self, reason: str, *, prompt: bool, read_only: bool) -> None:
        super().__init__(reason)
        self.prompt, self.read_only = prompt, read_only


class RaceLost(StoreUnavailable):
    """Another transaction was in the way: nothing was done, and the next try may succeed."""


def translated(error: BaseException) -> SessionError:
    """This package's error in place of the driver's."""
    codes = {getattr(error, "sqlstate", None), *error.args[:1]}
    if codes & _UNDEFINED or "no such " in str(error) or "no column named" in str(error):
        return SchemaError(f"{reason_of(error)}: {MIGRATE}")
    kind = RaceLost if is_lost_race(error) and not _has_waited(error) else StoreUnavailable
    return kind(reason_of(error))


def _has_waited(error: BaseException) -> bool:
    """Whether the database waited for a lock until the time for a statement was over."""
    if hasattr(error, "sqlite_errorcode"):
        return bool(error.sqlite_errorcode != _SQLITE_BUSY_SNAPSHOT)
    return error.args[:1] == (_WAITED_IN_VAIN,)


def is_full(error: BaseException) -> bool:
    """Whether a connect failed since there are as many connections as may be."""
    original: BaseException = getattr(error, "orig", None) or error
    codes = {getattr(original, "sqlstate", None), *original.args[:1]}
    return bool(codes & _FULL) or any(words in str(original) for words in _FULL_IN_WORDS)
