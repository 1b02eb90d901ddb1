"""Writing sessions on the application's own connection, within its transaction.

Whether that is possible is found out before anything is written: a transaction that can't write
the sessions' table is none of ours, and must not fail because of us (S6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import URL, Connection, Executable, text
from sqlalchemy.exc import DBAPIError

from myapp.database import is_read_only
from myapp.sessions.sql.model import table
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.sql.writer import SqlWriter

_DISCREET: Final = "myapp.sessions.discreet_engine"

# One round trip, before the first write: on PostgreSQL an error would end the whole transaction.
_MAY_WRITE: Final = text(
    "SELECT current_setting('transaction_read_only') = 'off'"
    " AND to_regclass(:name)::oid = CAST(:oid AS oid)"
    " AND has_table_privilege(to_regclass(:name)::oid, 'SELECT')"
    " AND has_table_privilege(to_regclass(:name)::oid, 'INSERT')"
    " AND has_table_privilege(to_regclass(:name)::oid, 'UPDATE')"
    " AND has_table_privilege(to_regclass(:name)::oid, 'DELETE')"
)
# What MariaDB and MySQL say to a user without the right to do it.
_NOT_ALLOWED: Final = frozenset({1044, 1142, 1143})


class CannotJoin(Exception):
    """A transaction in which sessions can't be written; nothing was."""


class JoinedWriter(SqlWriter):
    """Writes on the connection of a transaction, which it asks for only to write.

    Raises CannotJoin before the first write if none is possible there.
    """

    def __init__(
        self, connect: Callable[[], Connection], joined: Callable[[], None], store: SqlStore
    ) -> None:
        """`joined` is called once the transaction is known to be one to write in."""
        super().__init__(store.engine.dialect.name)
        self._connect, self._joined, self._store = connect, joined, store
        self._connection: Connection | None = None
        self._wrote = False

    def execute(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """As SqlWriter has it."""
        if self._connection is None:
            connection = self._connect()
            _refuse(connection, self._store)
            self._joined()
            self._connection = discreet(connection, self._store.engine.url)
        try:
            met: int = self._connection.execute(statement, values).rowcount
        except DBAPIError as error:
            if not self._wrote and _is_not_allowed(error.orig):
                raise CannotJoin from error
            raise
        self._wrote = True
        return met


def same_place(one: URL, other: URL) -> bool:
    """Whether two URLs lead to one database, as the same user."""
    return _place(one) == _place(other)


def _place(url: URL) -> tuple[object, ...]:
    query = tuple(sorted(url.normalized_query.items()))
    return url.get_backend_name(), url.username, url.host, url.port, query, url.database


def discreet(connection: Connection, url: URL) -> Connection:
    """The same connection, in the same transaction, whose log and errors show no parameters.

    The application's engine may be told to log them, and ours are what a session holds (R6).
    """
    engine = connection.info.get(_DISCREET)
    if engine is None:
        # Making it takes longer than a statement, so the driver's connection bears it from then on.
        # After a `USE other` MariaDB would write to the other database.
        names = {"schema_translate_map": {None: url.database}} if _is_mysql(url) else {}
        engine = connection.info[_DISCREET] = connection.engine.execution_options(**names)
        engine.hide_parameters = True
    # It begins nothing and commits nothing. After an error SQLAlchemy may roll it back, and so may
    # we: whoever calls aborts the transaction then.
    return Connection(engine, connection=connection.connection, _allow_autobegin=False)


def _refuse(connection: Connection, store: SqlStore) -> None:
    """Raise CannotJoin for what can be told before anything is written."""
    if _is_autocommit(connection):
        raise CannotJoin
    if connection.dialect.name == "postgresql":
        values = {"name": table.name, "oid": store.table_oid}
        if not connection.execute(_MAY_WRITE, values).scalar():
            raise CannotJoin


def _is_autocommit(connection: Connection) -> bool:
    """Whether each statement is committed at once, as the driver has it: nothing is asked."""
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        return driver.isolation_level is None and not driver.in_transaction
    if connection.dialect.name == "postgresql":
        return bool(driver.autocommit)
    return bool(driver.get_autocommit())


def _is_not_allowed(error: BaseException | None) -> bool:
    if error is None:
        return False
    return is_read_only(error) or bool({*error.args[:1]} & _NOT_ALLOWED)


def _is_mysql(url: URL) -> bool:
    return url.get_backend_name() in ("mysql", "mariadb")
