"""The store that keeps sessions in a SQL database.

It has connections of its own in autocommit: a single statement is one round trip, and a request
that holds the application's connection can always get one for its session (L9). All statements go
by `Executor.run`; SQLAlchemy's engine makes the connections and knows the dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final

from sqlalchemy import (
    Engine,
    Executable,
    NullPool,
    Table,
    delete,
    false,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError

import myapp.sessions.sql.statements as sql
from myapp.database import create_database_engine, refusal_of
from myapp.pooler import AUTO
from myapp.sessions.core.errors import SchemaError, StoreRefused, StoreUnavailable
from myapp.sessions.core.fork import PerProcess, process_id
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.store import Ending, StoredSession, is_ended, is_written
from myapp.sessions.sql import model, pymysql
from myapp.sessions.sql.breaker import Breaker
from myapp.sessions.sql.compiled import CompiledStatements
from myapp.sessions.sql.connection import Connection
from myapp.sessions.sql.errors import foreign_table, is_foreign, missing_table, old_table
from myapp.sessions.sql.executor import Executor
from myapp.sessions.sql.outages import Outages
from myapp.sessions.sql.pool import Occupancy, Pool
from myapp.sessions.sql.pooled import refuse_statement_mode, warn_of_no_limit
from myapp.sessions.sql.survey import SqlSurvey
from myapp.sessions.sql.sweeping import sweep_claimed, sweep_sampled
from myapp.sessions.sql.writer import SqlWriter, renews_at_once

MUCH: Final = 100_000
"""Rows are counted up to here; nobody needs to know how many more there are."""


class SqlStore:
    """A SessionStore over a database; `url` is any SQLAlchemy URL but in-memory SQLite."""

    def __init__(
        self,
        url: str,
        *,
        connect_timeout: int = 3000,
        statement_timeout: int = 5000,
        pooler: str = AUTO,
        table: str = model.table.name,
    ) -> None:
        """`table`: its name, or schema.name."""
        self.table = model.named(table)
        self._engine = create_database_engine(
            url,
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
            pooler=pooler,
            for_sessions=True,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
        )
        self._patience = connect_timeout / 1000
        self._statements = CompiledStatements(self._engine.dialect, self.table)
        packed = self._engine.dialect.driver == "pymysql"
        self._load_one = pymysql.load_packed if packed else sql.load_one
        self._as_session: Callable[..., StoredSession]
        self._as_session = pymysql.unpacked if packed else StoredSession
        self._claims = self._engine.dialect.name == "postgresql"
        self._renews_at_once = renews_at_once(self._engine.dialect.name)
        self._pools = PerProcess(self._new_pool)
        self._executor = Executor(self._engine, self._pools, statement_timeout / 1000)
        self._is_checked = False
        self.on_join: Callable[[SqlWriter], None] | None = None
        """Called with each writer within a request's transaction, for metrics."""

    def _new_pool(self) -> Pool:
        return Pool(self._engine, self._statements, Breaker(), self._patience)

    @property
    def _pool(self) -> Pool:
        """The connections of this process; those of its parent stay the parent's (L11)."""
        return self._pools[process_id()]

    @classmethod
    def from_settings(cls, settings: SessionSettings) -> SqlStore:
        """The store that a manager's settings describe."""
        if settings.url is None:
            raise ValueError(f"{settings.prefix}url does not name a database")
        return cls(
            settings.url,
            connect_timeout=settings.connect_timeout,
            statement_timeout=settings.statement_timeout,
            pooler=settings.pooler,
            table=settings.table,
        )

    @property
    def engine(self) -> Engine:
        """What makes the connections, each in autocommit."""
        return self._engine

    @property
    def is_stuck(self) -> bool:
        """Whether somebody has waited for a connection so long that others don't try."""
        return self._pool.breaker.is_stuck

    @property
    def outages(self) -> Outages:
        """What fails now in this process; writers that bypass the store report to it, too (L8)."""
        return self._pool.breaker.outages

    def load(self, digests: Sequence[bytes]) -> Sequence[StoredSession]:
        if len(digests) == 1:
            values = {"digest": digests[0]}
            row = self._executor.run(Connection.fetch_one, self._load_one, values)
            return [self._as_session(digests[0], *row)] if row else []
        return self._sessions(sql.load_some, digests=list(digests))

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        return self._executor.run(
            Connection.insert, new, endings, single=not endings, done=lambda: self._has(new)
        )

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        return self._executor.run(
            Connection.update,
            changed,
            version,
            endings,
            single=not endings,
            done=lambda: any(is_written(changed, row) for row in self.load([changed.digest])),
        )

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        return self._executor.run(
            Connection.renew,
            old,
            version,
            new,
            endings,
            single=not endings and self._renews_at_once,
            done=lambda: self._has(new),
        )

    def _has(self, new: StoredSession) -> bool:
        """Whether a new session was stored. What else was done to its row since came later."""
        return bool(self.load([new.digest]))

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        values = {
            "b_digest": digest,
            "seen_at": seen_at,
            "expires_at": expires_at,
            "not_since": not_since,
        }
        return self._executor.run(Connection.execute, sql.touch, values) == 1

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        values = {"b_digest": digest, "owner": owner, "now": now, "until": until}
        return self._executor.run(Connection.execute, sql.lock, values) == 1

    def unlock(self, digest: bytes, owner: str) -> None:
        values = {"b_digest": digest, "owner": owner}
        self._executor.run(Connection.execute, sql.unlock, values)

    def end(self, endings: Sequence[Ending]) -> int:
        if not endings:
            return 0
        # All of it was done or nothing. A second try is harmless, but it would count none.
        return self._executor.run(
            Connection.end,
            endings,
            single=len(endings) == 1,
            done=lambda: self._count_ended(endings),
        )

    def _count_ended(self, endings: Sequence[Ending]) -> int:
        rows = {row.digest: row for row in self.load([ending.digest for ending in endings])}
        return sum(is_ended(ending, rows.get(ending.digest)) for ending in endings)

    def find(self, manager: str, handle: str) -> StoredSession | None:
        return next(iter(self._sessions(sql.find, manager=manager, handle=handle)), None)

    def of_user(self, manager: str, user_id: str, now: int) -> Sequence[StoredSession]:
        return self._sessions(sql.of_user, manager=manager, user_id=user_id, now=now)

    def last_sign_in(self, manager: str, user_id: str, now: int) -> int | None:
        values = {"manager": manager, "user_id": user_id, "now": now}
        row = self._executor.run(Connection.fetch_one, sql.last_sign_in, values)
        return row[0] if row else None

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        # First a look, which locks nothing: mostly there is nothing to delete, and a DELETE by
        # user would make MariaDB lock others who sign in at the same time.
        values = {"manager": manager, "user_id": user_id, "keep": keep, "now": now}
        rows = self._executor.run(Connection.fetch_all, sql.beyond_limit, values)
        return self.end([Ending(digest, "limit") for (digest,) in rows])

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        after = b""
        while batch := self._sessions(sql.iterate, manager=manager, after=after):
            yield from batch
            after = batch[-1].digest

    def sweep(self, now: int, limit: int) -> int:
        # PostgreSQL locks what it finds and passes over what another sweeper has. MySQL would lock
        # more than it finds; there, as on SQLite, each statement is a transaction of its own.
        sweep = sweep_claimed if self._claims else sweep_sampled
        return self._executor.run(sweep, now, limit, single=not self._claims)

    def count(self) -> int:
        """How many rows there are, markers and expired ones included."""
        return self._number(sql.count)

    def count_due(self, now: int) -> int:
        """How many rows a sweep at `now` would look at."""
        return self._number(sql.count_due, now=now)

    def backlog(self, now: int) -> int:
        """How many rows a sweep at `now` would look at, counted no further than MUCH."""
        return self._number(sql.count_some_due, now=now, most=MUCH)

    @property
    def occupancy(self) -> Occupancy:
        """How the connections of this process stand."""
        return self._pool.occupancy

    def now(self) -> int | None:
        """As TellsTime has it: a SQLite file has our own clock."""
        statement = sql.now_on.get(self._engine.dialect.name)
        return None if statement is None else self._number(statement)

    @cached_property
    def survey(self) -> SqlSurvey:
        """As Surveyed has it: what an operator asks of all sessions."""
        return SqlSurvey(self._executor, self._engine.dialect, self.table, self.quoted_name)

    @cached_property
    def table_oid(self) -> int:
        """PostgreSQL's number of the table, to tell it from others of that name."""
        return self._number(sql.table_oid, name=self.quoted_name)

    @cached_property
    def placed_table(self) -> Table:
        """The table with the name of its place, for connections that are not ours: after a
        `USE other` MariaDB would write to another database, and SQLite would prefer a temporary
        table.
        """
        url = self._engine.url
        places = {"mysql": url.database, "mariadb": url.database, "sqlite": "main"}
        return model.named(self.table.fullname, within=places.get(url.get_backend_name()))

    @cached_property
    def quoted_name(self) -> str:
        """The table's name with its schema, as this database has it in statements."""
        return self._engine.dialect.identifier_preparer.format_table(self.table)

    def check(self) -> None:
        if not self._is_checked:
            self._is_checked = True
            self._refuse_for_good(select(self.table.c.digest).where(false()))
        try:
            present = self._present()
            if self._claims:
                self._executor.run(_refuse_sql_ascii)
                self._executor.run(warn_of_no_limit)
        except StoreUnavailable as error:
            refuse_statement_mode(error)
            raise
        finally:
            # A server may load the application and fork then: no child is to inherit a connection.
            self.close()
        missing = [column.name for column in self.table.columns if column.name not in present]
        if is_foreign(missing):
            raise foreign_table(self.table)
        if missing:
            raise old_table(self.table, missing)

    def refuse_without_rights(self) -> None:
        """Raise StoreRefused if this user may not change the table. Nothing is changed.

        SQLite has no rights, and would take the lock on its file.
        """
        if self._engine.dialect.name != "sqlite":
            table, nothing = self.table, false()
            rows = select(table).where(nothing)
            self._refuse_for_good(
                insert(table).from_select(table.columns.keys(), rows),
                update(table).values(version=table.c.version).where(nothing),
                delete(table).where(nothing),
            )

    def _refuse_for_good(self, *statements: Executable) -> None:
        """Raise StoreRefused for what never gets better by waiting.

        Asked once, at the start, and not by the executor, which would tell the log of an outage.
        """
        try:
            with self._engine.connect() as connection:
                for statement in statements:
                    connection.execute(statement)
        except DBAPIError as error:
            if refused := refusal_of(error):
                raise StoreRefused(refused) from error

    def _present(self) -> set[str]:
        """The columns of the table."""
        try:
            return self._executor.run(Connection.columns, sql.columns)
        except SchemaError as error:
            raise missing_table(self.table) from error

    def close(self) -> None:
        self._pool.close_all()

    def _sessions(self, statement: Executable, **values: Any) -> list[StoredSession]:
        rows = self._executor.run(Connection.fetch_all, statement, values)
        return [StoredSession(*row) for row in rows]

    def _number(self, statement: Executable, **values: Any) -> int:
        ((number,),) = self._executor.run(Connection.fetch_all, statement, values)
        return int(number)


def _refuse_sql_ascii(connection: Connection) -> None:
    """Raise SchemaError for a PostgreSQL database that takes text for bytes."""
    if connection.driver.info.parameter_status("server_encoding") == "SQL_ASCII":
        raise SchemaError(
            "the database's encoding is SQL_ASCII, which stores bytes instead of characters:"
            " create it again WITH ENCODING 'UTF8' TEMPLATE template0"
        )
