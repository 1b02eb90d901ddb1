"""Whether a transaction of the application's has written anything, by whatever means.

SQLAlchemy's ORM knows only what it wrote itself, so each statement is looked at; PostgreSQL is
asked, where a SELECT may call a function that writes.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

_WROTE: Final = "myapp.sessions.wrote"

_READS: Final = re.compile(
    r"(?:\s|\(|/\*.*?\*/|--[^\n]*\n)*"
    r"(?:(?:SELECT|SHOW|EXPLAIN|DESCRIBE|PRAGMA|SET|SAVEPOINT|RELEASE|ROLLBACK|BEGIN|START|VALUES"
    r"|LOCK|USE|FETCH|CLOSE|DECLARE)\b|WITH\b(?!.*\b(?:INSERT|UPDATE|DELETE|MERGE)\b))",
    re.IGNORECASE | re.DOTALL,
)
_HAS_ID: Final = text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")


def watch() -> None:
    """Note of each transaction of any engine whether a statement in it may have written."""
    if not event.contains(Engine, "before_cursor_execute", _note):
        event.listen(Engine, "begin", _forget)
        event.listen(Engine, "before_cursor_execute", _note)


def has_written(session: Session) -> bool:
    """Whether a session's transaction has written, or is going to at its commit."""
    if session.new or session.dirty or session.deleted:
        return True
    transaction = session.get_transaction()
    if transaction is None:
        return False
    # The connections that it has already, of one engine or several; none is opened to ask.
    present = {id(held[0]): held[0] for held in transaction._connections.values()}
    return any(map(_has_written, present.values()))


def _has_written(connection: Connection) -> bool:
    if connection.info.get(_WROTE, False):
        return True
    if connection.dialect.name == "postgresql":
        return _has_id(connection)
    if connection.dialect.name == "sqlite":
        # The driver itself begins a transaction before the first statement that writes.
        driver: Any = connection.connection.dbapi_connection
        return driver.in_transaction and driver.isolation_level is not None
    return False


def _has_id(connection: Connection) -> bool:
    """Whether PostgreSQL has numbered the transaction, as it does at the first write."""
    try:
        return bool(connection.execute(_HAS_ID).scalar())
    except DBAPIError:
        return True  # It has failed, and nobody can tell any more.


def _forget(connection: Connection) -> None:
    connection.info[_WROTE] = False


def _note(connection: Connection, cursor: Any, statement: str, *rest: Any) -> None:
    if not _READS.match(statement):
        connection.info[_WROTE] = True
