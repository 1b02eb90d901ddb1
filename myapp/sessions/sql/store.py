"""The store that keeps sessions in a SQL database.

It has an engine of its own in autocommit: a single statement is one round trip, and a request
that holds the application's connection can always get one for its session (L9). What requests do
all the time goes by the driver's own cursors, what they do seldom by SQLAlchemy Core. What needs
two statements asks for a real transaction.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

import myapp.sessions.sql.statements as sql
from myapp.database import create_database_engine, is_read_only
from myapp.sessions.core.errors import SchemaError, SessionError, StoreUnavailable
from myapp.sessions.core.fork import after_fork_in_child
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.store import Ending, StoredSession, is_ended, is_written
from myapp.sessions.sql.breaker import Breaker
from myapp.sessions.sql.model import table
from myapp.sessions.sql.pool import Line, Lines, reason_of
from myapp.sessions.sql.writer import renews_at_once

T = TypeVar("T")

MIGRATE: Final = (
    "run `alembic upgrade head` from the project's root, with DATABASE_URL if the sessions have a"
    " database of their own, or see `myapp-sessions INI schema`"
)

_SELDOM: Final = 2, 3
"""Connections for what is done seldom: so many stay open, and so many more at a time."""


class SqlStore:
    """A SessionStore over a database; `url` is any SQLAlchemy URL but in-memory SQLite."""

    def __init__(
        self, url: str, *, connect_timeout: int = 3000, statement_timeout: int = 5000
    ) -> None:
        self._patience = connect_timeout / 1000
        self._engine = create_database_engine(
            url,
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            pool_timeout=self._patience,
            pool_size=_SELDOM[0],
            max_overflow=_SELDOM[1],
        )
        self._dialect = self._engine.dialect.name
        self._driver_error = self._engine.dialect.loaded_dbapi.Error
        packed = self._engine.dialect.driver == "pymysql"
        self._load_one = sql.load_packed if packed else sql.load_one
        self._as_session: Callable[..., StoredSession] = sql.unpacked if packed else StoredSession
        self._breaker = Breaker()
        self._lines = Lines(self._engine, self._breaker, self._patience)
        self._inherited: list[object] = []
        after_fork_in_child(self._forget_connections)

    @classmethod
    def from_settings(cls, settings: SessionSettings) -> SqlStore:
        """The store that a manager's settings describe."""
        if settings.url is None:
            raise ValueError(f"{settings.prefix}url names no database")
        return cls(
            settings.url,
            connect_timeout=settings.connect_timeout,
            statement_timeout=settings.statement_timeout,
        )

    @property
    def engine(self) -> Engine:
        """The engine, in autocommit, for those who look after the database."""
        return self._engine

    @property
    def is_stuck(self) -> bool:
        """Whether somebody has waited for a connection so long that others don't try."""
        return self._breaker.is_stuck

    def load(self, digests: Sequence[bytes]) -> Sequence[StoredSession]:
        if len(digests) == 1:
            row = self._load_row(digests[0])
            return [self._as_session(digests[0], *row)] if row else []
        some = {"digests": list(digests)}
        return self._seldom(lambda c: _sessions(c.execute(sql.load_some, some)))

    def _load_row(self, digest: bytes) -> tuple[Any, ...] | None:
        """One row, without a detour: it is what nearly every request asks for."""
        line = self._lines.take()
        started = time.monotonic()
        try:
            row = line.fetch(self._load_one, {"digest": digest})
        except self._driver_error as error:
            trouble = self._trouble(line, error, started, single=True)
            if not (isinstance(trouble, _ConnectionLost) and trouble.prompt):
                raise trouble from error
        except BaseException:
            self._lines.close(line)
            raise
        else:
            self._lines.give_back(line)
            return row
        return self._once(Line.fetch, self._load_one, {"digest": digest})

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> None:
        self._settled(Line.insert, (new, endings), _is_there, new, single=not endings)

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        arguments = changed, version, endings
        return self._settled(Line.update, arguments, is_written, changed, single=not endings)

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        arguments = old, version, new, endings
        single = not endings and renews_at_once(self._dialect)
        return self._settled(Line.renew, arguments, _is_there, new, single=single)

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        values = {
            "b_digest": digest,
            "seen_at": seen_at,
            "expires_at": expires_at,
            "not_since": not_since,
        }
        return self._twice(Line.execute, sql.touch, values) == 1

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        values = {"b_digest": digest, "owner": owner, "now": now, "until": until}
        return self._twice(Line.execute, sql.lock, values) == 1

    def unlock(self, digest: bytes, owner: str) -> None:
        values = {"b_digest": digest, "owner": owner}
        self._twice(Line.execute, sql.unlock, values)

    def end(self, endings: Sequence[Ending]) -> int:
        single = len(endings) == 1
        try:
            return self._once(Line.end, endings, single=single)
        except _ConnectionLost as lost:
            # All of it was done or nothing. A second try is harmless, but it would count none.
            done = self._count_ended(endings)
            if done:
                return done
            if not lost.prompt:
                raise
            return self._twice(Line.end, endings, single=single)

    def _count_ended(self, endings: Sequence[Ending]) -> int:
        rows = {row.digest: row for row in self.load([ending.digest for ending in endings])}
        return sum(is_ended(ending, rows.get(ending.digest)) for ending in endings)

    def find(self, manager: str, handle: str) -> StoredSession | None:
        def read(connection: Connection) -> StoredSession | None:
            row = connection.execute(sql.find, {"manager": manager, "handle": handle}).first()
            return StoredSession(*row) if row else None

        return self._seldom(read)

    def of_user(self, manager: str, user_id: str, now: int) -> Sequence[StoredSession]:
        values = {"manager": manager, "user_id": user_id, "now": now}
        return self._seldom(lambda c: _sessions(c.execute(sql.of_user, values)))

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        values = {"manager": manager, "user_id": user_id, "keep": keep, "now": now}
        return self._seldom(lambda c: c.execute(sql.end_oldest, values).rowcount)

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        after = b""
        while batch := self._batch(manager, after):
            yield from batch
            after = batch[-1].digest

    def _batch(self, manager: str, after: bytes) -> list[StoredSession]:
        values = {"manager": manager, "after": after}
        return self._seldom(lambda c: _sessions(c.execute(sql.iterate, values)))

    def sweep(self, now: int, limit: int) -> int:
        # PostgreSQL locks what it finds and passes over what another sweeper has: nobody waits,
        # and no two can wait for each other. MySQL would lock more than it finds; there, as on
        # SQLite, each statement is a transaction of its own.
        claims = self._engine.dialect.name == "postgresql"

        def write(connection: Connection) -> int:
            due = _claimed(connection, now, limit) if claims else _sampled(connection, now, limit)
            expired = [digest for digest, expires_at in due if expires_at <= now]
            alive = [digest for digest, expires_at in due if expires_at > now]
            # Both tell again what is expired.
            if expired:
                connection.execute(sql.sweep, {"digests": expired, "now": now})
            if alive:
                connection.execute(sql.postpone, {"digests": alive, "now": now})
            return len(due)

        return self._seldom(write, single=not claims)

    def count(self) -> int:
        """How many rows there are, markers and expired ones included."""
        return self._seldom(lambda c: c.execute(sql.count).scalar_one())

    def count_due(self, now: int) -> int:
        """How many rows a sweep at `now` would look at."""
        return self._seldom(lambda c: c.execute(sql.count_due, {"now": now}).scalar_one())

    def check(self) -> None:
        def read(connection: Connection) -> None:
            inspector = inspect(connection)
            if not inspector.has_table(table.name):
                raise SchemaError(f"there is no table {table.name!r}: {MIGRATE}")
            present = {column["name"] for column in inspector.get_columns(table.name)}
            missing = [column.name for column in table.columns if column.name not in present]
            if missing:
                raise SchemaError(
                    f"the table {table.name!r} is old, it lacks {', '.join(missing)}: {MIGRATE}"
                )

        self._seldom(read)
        # A server may load the application and fork then: no child is to inherit a connection.
        self.close()

    def close(self) -> None:
        self._lines.close_all()
        self._engine.dispose()

    def _forget_connections(self) -> None:
        """In a process just forked: leave the parent's connections to the parent.

        They are kept, for to be collected is to be closed, which the database would hear.
        """
        self._inherited += [self._lines, self._engine.pool]
        self._engine.dispose(close=False)
        self._breaker = Breaker()
        self._lines = Lines(self._engine, self._breaker, self._patience)

    def _settled(
        self,
        write: Callable[..., T],
        arguments: Sequence[Any],
        is_there: Callable[[StoredSession, StoredSession], bool],
        meant: StoredSession,
        *,
        single: bool,
    ) -> T | bool:
        """Write; where the connection broke meanwhile, look once whether it was written (S7).

        If that look does not find it, the write is tried once more.
        """
        try:
            return self._once(write, *arguments, single=single)
        except _ConnectionLost as lost:
            if any(is_there(meant, found) for found in self.load([meant.digest])):
                return True
            if not lost.prompt:
                raise
            return self._twice(write, *arguments, single=single)

    def _twice(self, use: Callable[..., T], *arguments: Any, single: bool = True) -> T:
        """Use a line; if it turns out dead, once more another one (L2)."""
        try:
            return self._once(use, *arguments, single=single)
        except _ConnectionLost as lost:
            if not lost.prompt:
                raise
            return self._once(use, *arguments, single=single)

    def _once(self, use: Callable[..., T], *arguments: Any, single: bool = True) -> T:
        """Use a line in autocommit, for a single statement, or else in a transaction."""
        line = self._lines.take()
        started = time.monotonic()
        try:
            if single:
                answer = use(line, *arguments)
            else:
                with line.transaction():
                    answer = use(line, *arguments)
        except self._driver_error as error:
            raise self._trouble(line, error, started, single=single) from error
        except BaseException:
            self._lines.close(line)
            raise
        self._lines.give_back(line)
        return answer

    def _trouble(self, line: Line, error: Any, started: float, *, single: bool) -> SessionError:
        """What a driver's error means; the line is closed or given back by that."""
        lost = self._engine.dialect.is_disconnect(error, line.connection, line.cursor)
        # A server that takes no writes may not be the one to write to any more (L8).
        if lost or is_read_only(error):
            self._lines.lost(line)
            # The pool, from which the next line may come, knows nothing of it.
            self._engine.dispose()
            # A connection that was dead all along fails at once; one that took its time may do so
            # again, and then nobody is to wait twice.
            return _ConnectionLost(reason_of(error), prompt=time.monotonic() - started < _PROMPT)
        if single:
            self._lines.give_back(line)
        else:
            self._lines.close(line)  # and with it what its transaction has done
        return translated(error)

    def _seldom(self, use: Callable[[Connection], T], *, single: bool = True) -> T:
        """Use a Connection of SQLAlchemy's; if it turns out dead, once more another one."""
        try:
            return self._on_connection(use, single=single)
        except _ConnectionLost as lost:
            if not lost.prompt:
                raise
            return self._on_connection(use, single=single)

    def _on_connection(self, use: Callable[[Connection], T], *, single: bool) -> T:
        started = time.monotonic()
        with self._connect() as connection:
            try:
                if single:
                    return use(connection)
                with _transaction(connection):
                    return use(connection)
            except DBAPIError as error:
                if error.connection_invalidated:
                    prompt = time.monotonic() - started < _PROMPT
                    raise _ConnectionLost(reason_of(error), prompt=prompt) from error
                raise translated(error.orig or error) from error

    def _connect(self) -> Connection:
        self._breaker.admit()
        try:
            connection = self._engine.connect()
        except PoolTimeout as error:
            self._breaker.succeeded()  # the database is not to blame
            raise StoreUnavailable("all connections are in use") from error
        except SQLAlchemyError as error:
            raise self._breaker.failed(reason_of(error)) from error
        except BaseException:
            # What else can go wrong here, an interrupt say, must not leave a probe pending.
            self._breaker.failed("interrupted")
            raise
        self._breaker.succeeded()
        return connection


class _ConnectionLost(StoreUnavailable):
    """The connection broke, before or while a statement ran on it.

    `prompt`: so soon that it must have been dead all along.
    """

    def __init__(self, reason: str, *, prompt: bool) -> None:
        super().__init__(reason)
        self.prompt = prompt


_PROMPT: Final = 1.0  # seconds
_SPREAD: Final = 4

# An undefined table or column: of PostgreSQL, and of MariaDB and MySQL.
_UNDEFINED: Final = frozenset({"42P01", "42703", 1146, 1054})


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    """Several statements as one transaction, on a connection in autocommit.

    Said in words, since switching a connection's isolation level and back costs MySQL four round
    trips. SQLite takes its one write lock at once, so that it waits for it and never fails later.
    """
    sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "BEGIN")
    try:
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: Connection) -> None:
    """End a transaction begun in words; a connection that can't is never used again."""
    if connection.invalidated:
        return
    try:
        connection.exec_driver_sql("ROLLBACK")
    except DBAPIError:
        connection.invalidate()


def _is_there(meant: StoredSession, found: StoredSession) -> bool:
    """Of a digest that is new every time: what else was done to its row came later."""
    return True


_Due = Sequence[tuple[bytes, int]]


def _claimed(connection: Connection, now: int, limit: int) -> _Due:
    """Rows to be looked at, digest and expiry, which are this transaction's until it ends."""
    rows = connection.execute(sql.due_and_free.limit(limit), {"now": now})
    return [(digest, expires_at) for digest, expires_at in rows]


def _sampled(connection: Connection, now: int, limit: int) -> _Due:
    """Some of the next rows to be looked at: other sweepers will mostly have taken others."""
    rows = connection.execute(sql.due.limit(_SPREAD * limit), {"now": now})
    found = [(digest, expires_at) for digest, expires_at in rows]
    return random.SystemRandom().sample(found, min(limit, len(found)))


def translated(error: BaseException) -> SessionError:
    """This package's error in place of the driver's."""
    codes = {getattr(error, "sqlstate", None), *error.args[:1]}
    if codes & _UNDEFINED or "no such " in str(error) or "no column named" in str(error):
        return SchemaError(f"{reason_of(error)}: {MIGRATE}")
    return StoreUnavailable(reason_of(error))


def _sessions(rows: Iterable[Any]) -> list[StoredSession]:
    return [StoredSession(*row) for row in rows]
