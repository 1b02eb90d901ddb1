"""The store that keeps sessions in a SQL database, by SQLAlchemy Core.

It has an engine of its own in autocommit: a single statement is one round trip, and a request
that holds the application's connection can always get one for its session (L9). What needs two
statements asks for a real transaction. Nothing here is an upsert: a row is inserted once, and
updated only where its version says that it is still the one that was read (S3).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    inspect,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

import myapp.sessions.statements as sql
from myapp.database import create_database_engine
from myapp.sessions.breaker import Breaker
from myapp.sessions.errors import SchemaError, SessionError, StoreUnavailable
from myapp.sessions.fork import after_fork_in_child
from myapp.sessions.model import table
from myapp.sessions.settings import Settings
from myapp.sessions.store import Ending, StoredSession, is_ended, is_written

T = TypeVar("T")

MIGRATE: Final = (
    "run `alembic upgrade head` from the project's root, with DATABASE_URL if the sessions have a"
    " database of their own, or see `myapp-sessions INI schema`"
)


class SqlWriter:
    """Writes on a connection that somebody else commits, be it by autocommit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> None:
        """As SessionStore has it."""
        self.end(endings)
        self._connection.execute(sql.insert_one, _row(new))

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        """As SessionStore has it."""
        if self._connection.execute(sql.update_one, _changes(changed, version)).rowcount != 1:
            return False
        self.end(endings)
        return True

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        """As SessionStore has it."""
        if not self._end_one(old, version, new.seen_at):
            return False
        self.end(endings)
        self._connection.execute(sql.insert_one, _row(new))
        return True

    def end(self, endings: Sequence[Ending]) -> int:
        """As SessionStore has it."""
        return sum(self._end_one(ending) for ending in endings)

    def _end_one(self, ending: Ending, version: int | None = None, now: int = 0) -> bool:
        """End one session. Whether it was live, and where a version is given still at that and
        not expired at `now`.
        """
        values: dict[str, Any] = {"b_digest": ending.digest}
        if version is not None:
            values |= {"b_version": version, "now": now}
        if ending.expires_at is None:
            statement = sql.remove if version is None else sql.remove_at_version
            return self._connection.execute(statement, values).rowcount == 1
        values |= {"ended": ending.reason, "data": ending.data, "expires_at": ending.expires_at}
        mark = sql.mark if version is None else sql.mark_at_version
        return self._connection.execute(mark, values).rowcount == 1


class SqlStore:
    """A SessionStore over a database; `url` is any SQLAlchemy URL but in-memory SQLite."""

    def __init__(
        self, url: str, *, connect_timeout: int = 3000, statement_timeout: int = 5000
    ) -> None:
        self._engine = create_database_engine(
            url,
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            pool_timeout=connect_timeout / 1000,
            pool_size=10,
            max_overflow=10,
        )
        self._breaker = Breaker()
        after_fork_in_child(self._forget_connections)

    @classmethod
    def from_settings(cls, settings: Settings) -> SqlStore:
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
        def read(connection: Connection) -> Sequence[StoredSession]:
            if len(digests) == 1:
                rows = connection.execute(sql.load_one, {"digest": digests[0]})
            else:
                rows = connection.execute(sql.load_some, {"digests": list(digests)})
            return _sessions(rows)

        return self._twice(read)

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> None:
        self._settled(
            lambda connection: SqlWriter(connection).insert(new, endings),
            lambda row: row is not None,
            new.digest,
            single=not endings,
        )

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        written = self._settled(
            lambda connection: SqlWriter(connection).update(changed, version, endings),
            lambda row: row is not None and is_written(changed, row),
            changed.digest,
            single=not endings,
        )
        return written is not False

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        written = self._settled(
            lambda connection: SqlWriter(connection).renew(old, version, new, endings),
            lambda row: row is not None,
            new.digest,
            single=False,
        )
        return written is not False

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        values = {
            "b_digest": digest,
            "seen_at": seen_at,
            "expires_at": expires_at,
            "not_since": not_since,
        }
        return self._twice(lambda c: c.execute(sql.touch, values).rowcount == 1)

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        values = {"b_digest": digest, "owner": owner, "now": now, "until": until}
        return self._twice(lambda c: c.execute(sql.lock, values).rowcount == 1)

    def unlock(self, digest: bytes, owner: str) -> None:
        self._twice(lambda c: c.execute(sql.unlock, {"b_digest": digest, "owner": owner}))

    def end(self, endings: Sequence[Ending]) -> int:
        single = len(endings) == 1
        try:
            with self._connection(single=single) as connection:
                return SqlWriter(connection).end(endings)
        except _ConnectionLost as lost:
            # All of it was done or nothing. A second try is harmless, but it would count none.
            done = self._count_ended(endings)
            if done:
                return done
            if not lost.prompt:
                raise
            return self._twice(lambda c: SqlWriter(c).end(endings), single=single)

    def _count_ended(self, endings: Sequence[Ending]) -> int:
        rows = {row.digest: row for row in self.load([ending.digest for ending in endings])}
        return sum(is_ended(ending, rows.get(ending.digest)) for ending in endings)

    def find(self, manager: str, handle: str) -> StoredSession | None:
        def read(connection: Connection) -> StoredSession | None:
            row = connection.execute(sql.find, {"manager": manager, "handle": handle}).first()
            return StoredSession(*row) if row else None

        return self._twice(read)

    def of_user(self, manager: str, user_id: str, now: int) -> Sequence[StoredSession]:
        values = {"manager": manager, "user_id": user_id, "now": now}
        return self._twice(lambda c: _sessions(c.execute(sql.of_user, values)))

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        values = {"manager": manager, "user_id": user_id, "keep": keep, "now": now}
        return self._twice(lambda c: c.execute(sql.end_oldest, values).rowcount)

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        after = b""
        while batch := self._batch(manager, after):
            yield from batch
            after = batch[-1].digest

    def _batch(self, manager: str, after: bytes) -> list[StoredSession]:
        values = {"manager": manager, "after": after}
        return self._twice(lambda c: _sessions(c.execute(sql.iterate, values)))

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

        return self._twice(write, single=not claims)

    def count(self) -> int:
        """How many rows there are, markers and expired ones included."""
        return self._twice(lambda c: c.execute(sql.count).scalar_one())

    def count_due(self, now: int) -> int:
        """How many rows a sweep at `now` would look at."""
        return self._twice(lambda c: c.execute(sql.count_due, {"now": now}).scalar_one())

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

        self._twice(read)
        # A server may load the application and fork then: no child is to inherit a connection.
        self._engine.dispose()

    def close(self) -> None:
        self._engine.dispose()

    def _forget_connections(self) -> None:
        """In a process just forked: leave the parent's connections to the parent."""
        self._engine.dispose(close=False)
        self._breaker = Breaker()

    def _settled(
        self,
        write: Callable[[Connection], T],
        is_there: Callable[[StoredSession | None], bool],
        digest: bytes,
        *,
        single: bool,
    ) -> T | None:
        """Write; where the connection broke meanwhile, look once whether it was written (S7).

        None if that look found it written; if not, the write is tried once more.
        """
        try:
            with self._connection(single=single) as connection:
                return write(connection)
        except _ConnectionLost as lost:
            if is_there(next(iter(self.load([digest])), None)):
                return None
            if not lost.prompt:
                raise
            return self._twice(write, single=single)

    def _twice(self, use: Callable[[Connection], T], *, single: bool = True) -> T:
        """Use a connection; on one that turns out dead, once more with another (L2)."""
        try:
            with self._connection(single=single) as connection:
                return use(connection)
        except _ConnectionLost as lost:
            if not lost.prompt:
                raise
            with self._connection(single=single) as connection:
                return use(connection)

    @contextmanager
    def _connection(self, *, single: bool) -> Iterator[Connection]:
        """A connection in autocommit, for a single statement, or else in a transaction."""
        started = time.monotonic()
        with self._connect() as connection:
            try:
                if single:
                    yield connection
                else:
                    with _transaction(connection):
                        yield connection
            except DBAPIError as error:
                # A connection that was dead all along fails at once; one that took its time may
                # do so again, and then nobody is to wait twice.
                trouble = translated(error)
                if error.connection_invalidated:
                    prompt = time.monotonic() - started < _PROMPT
                    trouble = _ConnectionLost(_reason(error), prompt=prompt)
                raise trouble from error

    def _connect(self) -> Connection:
        self._breaker.admit()
        try:
            connection = self._engine.connect()
        except PoolTimeout as error:
            self._breaker.succeeded()  # the database is not to blame
            raise StoreUnavailable("all connections are in use") from error
        except SQLAlchemyError as error:
            raise self._breaker.failed(_reason(error)) from error
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
_SPREAD: Final = 8

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


_Due = Sequence[tuple[bytes, int]]


def _claimed(connection: Connection, now: int, limit: int) -> _Due:
    """Rows to be looked at, digest and expiry, which are this transaction's until it ends."""
    rows = connection.execute(sql.due_and_free.limit(limit), {"now": now})
    return [(digest, expires_at) for digest, expires_at in rows]


def _sampled(connection: Connection, now: int, limit: int) -> _Due:
    """Some of the next rows to be looked at: other sweepers will mostly have taken others."""
    rows = connection.execute(sql.due.limit(_SPREAD * limit), {"now": now})
    found = [(digest, expires_at) for digest, expires_at in rows]
    return random.sample(found, min(limit, len(found)))


def translated(error: DBAPIError) -> SessionError:
    """This package's error in place of SQLAlchemy's."""
    original: Any = error.orig
    codes = {getattr(original, "sqlstate", None), *original.args[:1]}
    if codes & _UNDEFINED or "no such " in str(original) or "no column named" in str(original):
        return SchemaError(f"{_reason(error)}: {MIGRATE}")
    return StoreUnavailable(_reason(error))


def _reason(error: SQLAlchemyError) -> str:
    """The driver's message in one line, without the statement and its parameters."""
    original = getattr(error, "orig", None) or error
    return f"{type(original).__name__}: {str(original).strip().partition(chr(10))[0]}"


def _sessions(rows: Iterable[Any]) -> list[StoredSession]:
    return [StoredSession(*row) for row in rows]


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
        "user_id": changed.user_id,
        "generation": changed.generation,
    }
