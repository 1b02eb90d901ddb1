"""Whether a transaction of the application's has written anything, by whatever means.

SQLAlchemy's ORM knows only what it wrote itself, so each statement is looked at; and the database
is asked, since a SELECT may call a function that writes.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Connection, Engine, TextClause, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

_WROTE: Final = "myapp.sessions.wrote"

_READS: Final = re.compile(
    r"(?:\s|\(|/\*.*?\*/|--[^\n]*\n)*"
    r"(?:(?:SELECT|SHOW|EXPLAIN|DESCRIBE|PRAGMA|SET|SAVEPOINT|RELEASE|ROLLBACK|BEGIN|START|VALUES"
    r"|LOCK|USE|FETCH|CLOSE|DECLARE)\b|WITH\b(?!.*\b(?:INSERT|UPDATE|DELETE|MERGE)\b))",
    re.IGNORECASE | re.DOTALL,
)
# PostgreSQL numbers a transaction at its first write. MariaDB and MySQL tell the rows that were
# changed, to users who may know it.
_HAS_ID: Final = text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
_HAS_MODIFIED: Final = text(
    "SELECT trx_rows_modified > 0 FROM information_schema.innodb_trx"
    " WHERE trx_mysql_thread_id = CONNECTION_ID()"
)


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
        return _answer(connection, _HAS_ID, otherwise=True)
    if connection.dialect.name in ("mysql", "mariadb"):
        return _answer(connection, _HAS_MODIFIED, otherwise=False)
    if connection.dialect.name == "sqlite":
        # The driver itself begins a transaction before the first statement that writes.
        driver: Any = connection.connection.dbapi_connection
        return driver.in_transaction and driver.isolation_level is not None
    return False


def _answer(connection: Connection, question: TextClause, *, otherwise: bool) -> bool:
    """What the database says; `otherwise` if it won't, or the transaction has failed."""
    try:
        return bool(connection.execute(question).scalar())
    except DBAPIError:
        return otherwise


def _forget(connection: Connection) -> None:
    connection.info[_WROTE] = False


def _note(connection: Connection, cursor: Any, statement: str, *rest: Any) -> None:
    if not _READS.match(statement):
        connection.info[_WROTE] = True
