"""Whether a transaction of the application has written anything, by any means.

SQLAlchemy's ORM knows only what it wrote itself, so the database is asked. Where it can't tell,
each statement is looked at.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Connection, TextClause, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction

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
    """See to it that `has_written` has an answer for each transaction that begins from now on."""
    if not event.contains(Session, "after_begin", _watch_if_needed):
        event.listen(Session, "after_begin", _watch_if_needed)


def _watch_if_needed(
    session: Session, transaction: SessionTransaction, connection: Connection
) -> None:
    """Look at the statements of an engine whose database can't tell.

    Not at everybody's: for an engine with listeners SQLAlchemy takes 5 µs more a statement.
    """
    engine = connection.engine
    if _can_tell(connection) or event.contains(engine, "before_cursor_execute", _note):
        return
    event.listen(engine, "begin", _forget)
    # This connection has looked for listeners already, when it was made.
    for target in (engine, connection):
        event.listen(target, "before_cursor_execute", _note)
    # On a connection of somebody's own, nobody knows what was done before the session got it.
    connection.info[_WROTE] = connection is session.bind


def _can_tell(connection: Connection) -> bool:
    """Whether a database knows itself that its transaction has written."""
    return connection.dialect.name == "postgresql" or _begins_by_itself(connection)


def _begins_by_itself(connection: Connection) -> bool:
    """Whether the driver begins a transaction before the first statement that writes."""
    if connection.dialect.name != "sqlite":
        return False
    driver: Any = connection.connection.dbapi_connection
    return driver.isolation_level is not None


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
    if _begins_by_itself(connection):
        driver: Any = connection.connection.dbapi_connection
        return bool(driver.in_transaction)
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
