"""What a driver's errors mean to whoever uses the store."""

from __future__ import annotations

from typing import Final

from myapp.database import is_lost_race
from myapp.sessions.core.errors import SchemaError, SessionError, StoreUnavailable

MIGRATE: Final = (
    "run `alembic upgrade head` from the project's root, with DATABASE_URL if the sessions have a"
    " database of their own, or see `myapp-sessions INI schema`"
)

# An undefined table or column: of PostgreSQL, and of MariaDB and MySQL.
_UNDEFINED: Final = frozenset({"42P01", "42703", 1146, 1054})

_WAITED_IN_VAIN: Final = 1205
_SQLITE_BUSY_SNAPSHOT: Final = 517


class ConnectionLost(StoreUnavailable):
    """The connection broke, before or while a statement ran on it.

    `prompt`: so soon that it must have been dead all along.
    """

    def __init__(self, reason: str, *, prompt: bool) -> None:
        super().__init__(reason)
        self.prompt = prompt


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


def reason_of(error: BaseException) -> str:
    """A driver's message in one line, without the statement and its parameters."""
    original = getattr(error, "orig", None) or error
    return f"{type(original).__name__}: {str(original).strip().partition(chr(10))[0]}"
