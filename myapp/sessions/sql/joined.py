"""Writing sessions on the application's own connection, within its transaction.

It finds out whether that is possible before it writes anything: a transaction that can't write the
sessions table must not fail because of us (S6).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import URL, Connection, Executable, Table, text
from sqlalchemy.engine import Dialect

from myapp.database import is_read_only
from myapp.sessions.core.errors import SessionError, StoreUnavailable
from myapp.sessions.core.store import StoredSession
from myapp.sessions.sql.compiled import CompiledStatements
from myapp.sessions.sql.encoding import codec_of, is_unicode
from myapp.sessions.sql.errors import RaceLost, translated
from myapp.sessions.sql.statements import load_some
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.sql.writer import SqlWriter

log = logging.getLogger(__name__)

# One round trip, before the first write: on PostgreSQL an error would end the whole transaction.
_MAY_WRITE: Final = text(
    "SELECT current_setting('transaction_isolation') FROM CAST(to_regclass(:name) AS oid) AS ours"
    " WHERE ours = CAST(:oid AS oid) AND current_setting('transaction_read_only') = 'off'"
    " AND has_table_privilege(ours, 'SELECT') AND has_table_privilege(ours, 'INSERT')"
    " AND has_table_privilege(ours, 'UPDATE') AND has_table_privilege(ours, 'DELETE')"
)
# By itself ON from MariaDB 11.6.2 on: then a write to a row that has changed since the snapshot
# fails, and undoes all of the transaction. MySQL, and MariaDB before 10.6.18, answer nothing.
_IS_STRICT: Final = text("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'")
# A write of ours says by itself which version of a row it is for (S4).
_NOT_STRICTLY: Final = "SET STATEMENT innodb_snapshot_isolation = OFF FOR "
# Where a connection's own dictionary keeps which of the two it needs.
_PREFIX: Final = "myapp.sessions.prefix"
# What MariaDB and MySQL say to a user without the right to do it.
_NOT_ALLOWED: Final = frozenset({1044, 1142, 1143})


# The parameters of a URL that say which database is meant.
_PLACES: Final = frozenset(
    {"host", "hostaddr", "port", "dbname", "service", "user", "options", "unix_socket"}
    | {"read_default_file", "read_default_group"}
)


class CannotJoin(Exception):
    """A transaction in which sessions can't be written; nothing was."""


class JoinedWriter(SqlWriter):
    """Writes on the connection of a transaction, which it asks for only to write.

    It bypasses SQLAlchemy, whose log may show what a session holds (R6). Raises CannotJoin before
    the first write if none is possible there.
    """

    def __init__(
        self, connect: Callable[[], Connection], joined: Callable[[], None], store: SqlStore
    ) -> None:
        """`joined` is called once something was written."""
        super().__init__(store.engine.dialect.name)
        self._connect, self._joined, self._store = connect, joined, store
        self._cursor: Any = None
        self._isolation = ""
        self._prefix = ""
        self._wrote = False

    def execute(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """As SqlWriter has it; raises this package's errors."""
        if self._cursor is None:
            self._open()
        log.debug("within the request's transaction: %s", statement)
        try:
            self._run(statement, values)
        except self._driver_error as error:
            trouble = translated(error)
            if not self._wrote and (_is_not_allowed(error) or self._has_lost_on_sqlite(trouble)):
                raise CannotJoin from error
            raise self._noted(trouble) from error
        if not self._wrote:
            self._wrote = True
            self._store.outages.works("writing")
            self._joined()
        met: int = self._cursor.rowcount
        return met

    def sees_the_present(self, digest: bytes) -> bool:
        """Whether the transaction sees a row as it is now, and not by an old snapshot.

        Raises CannotJoin and this package's errors. A second attempt at ending a session would only
        meet what another request has made of it: so this is asked before the first.
        """
        if self._cursor is None:
            self._open()
        if not self._sees_a_snapshot():
            return True
        seen = self._ask(load_some, {"digests": [digest]})
        return [StoredSession(*row) for row in seen] == list(self._store.load([digest]))

    def _sees_a_snapshot(self) -> bool:
        if self._dialect == "postgresql":
            return self._isolation != "read committed"
        # What MariaDB and MySQL write is not the snapshot's row, but the present one.
        return self._dialect == "sqlite"

    def _open(self) -> None:
        """Look at the connection. Raises CannotJoin for what can be told without a write, and this
        package's errors.
        """
        connection = self._connect()
        driver: Any = connection.connection.dbapi_connection
        if _is_autocommit(self._dialect, driver):
            raise CannotJoin
        self._connection = connection
        if not is_unicode(connection.dialect.driver, driver):
            raise CannotJoin
        self.codec = codec_of(driver)
        self._is_psycopg = connection.dialect.driver == "psycopg"
        self._driver_error = connection.dialect.loaded_dbapi.Error
        self._statements = _statements(connection.dialect, self._store.placed_table)
        self._cursor = driver.cursor()
        if self._dialect == "postgresql":
            values = {"name": self._store.quoted_name, "oid": self._store.table_oid}
            answer = self._ask(_MAY_WRITE, values)
            if not answer:
                raise CannotJoin
            self._isolation = answer[0][0]
        elif self._dialect != "sqlite":
            self._prefix = self._prefix_on(connection)

    def _prefix_on(self, connection: Connection) -> str:
        """What our statements on MariaDB and MySQL begin with. A connection is asked once."""
        prefix: str | None = connection.info.get(_PREFIX)
        if prefix is None:
            is_strict = any(value == "ON" for _, value in self._ask(_IS_STRICT, {}))
            prefix = connection.info[_PREFIX] = _NOT_STRICTLY if is_strict else ""
        return prefix

    def _ask(self, question: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
        # Not prepared, so that it does not fail after the table was altered: an error would end
        # the application's transaction.
        unprepared = {"prepare": False} if self._is_psycopg else {}
        try:
            self._run(question, values, **unprepared)
            rows: Sequence[Any] = self._cursor.fetchall()
        except self._driver_error as error:
            raise self._noted(translated(error)) from error
        return rows

    def _run(self, statement: Executable, values: Mapping[str, Any], **options: Any) -> None:
        try:
            words, places = self._statements[statement](values)
            self._cursor.execute(self._prefix + words, places, **options)
        except Exception:
            raise
        except BaseException:
            # An answer may be on its way, and the next request with this connection would take it
            # for its own. SQLAlchemy does the same after an interrupt.
            self._connection.invalidate()
            raise

    def _noted(self, trouble: SessionError) -> SessionError:
        """An error that is going to be raised. If it is an outage, that has begun."""
        if isinstance(trouble, StoreUnavailable) and not isinstance(trouble, RaceLost):
            self._store.outages.refused("writing", trouble.reason)
        return trouble

    def _has_lost_on_sqlite(self, trouble: Exception) -> bool:
        """Whether the file has changed since it was read: the transaction goes on, reading."""
        return self._dialect == "sqlite" and isinstance(trouble, RaceLost)


def same_place(one: URL, other: URL) -> bool:
    """Whether two URLs lead to one database, as the same user."""
    return _place(one) == _place(other)


def _place(url: URL) -> tuple[object, ...]:
    # How one connects is of no account: timeouts, TLS, a character set.
    is_file = url.get_backend_name() == "sqlite"
    query = tuple(sorted(p for p in url.normalized_query.items() if is_file or p[0] in _PLACES))
    return url.get_backend_name(), url.username, url.host, url.port, query, url.database


@lru_cache(maxsize=8)
def _statements(dialect: Dialect, table: Table) -> CompiledStatements:
    return CompiledStatements(dialect, table)


def _is_autocommit(dialect: str, driver: Any) -> bool:
    """Whether each statement is committed at once, as the driver has it: nothing is asked."""
    if dialect == "sqlite":
        return driver.isolation_level is None and not driver.in_transaction
    return bool(driver.autocommit if dialect == "postgresql" else driver.get_autocommit())


def _is_not_allowed(error: BaseException) -> bool:
    return is_read_only(error) or bool({*error.args[:1]} & _NOT_ALLOWED)
