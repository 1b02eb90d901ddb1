"""Connections to the sessions' database that all threads of a process share, one at a time each.

SQLAlchemy's pool makes them; from then on they are kept here, each with a cursor of its own, and
taken for one statement or one transaction. Nobody holds one longer than that, so that there may be
many more threads than connections. Nothing here asks whether a connection still works: who uses
one finds out, and tells.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from sqlalchemy import Engine, Executable
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.sql.breaker import Breaker
from myapp.sessions.sql.compiled import PreparedStatements
from myapp.sessions.sql.writer import SqlWriter

MOST: Final = 15
"""Connections at a time, in one process."""

KEPT: Final = 10
"""So many of them stay open while nobody uses them."""


class Line(SqlWriter):
    """One connection in autocommit, and its cursor."""

    __slots__ = ("_begin", "_statements", "connection", "cursor", "generation")

    def __init__(
        self, connection: Any, engine: Engine, statements: PreparedStatements, generation: int
    ) -> None:
        super().__init__(engine.dialect.name)
        self.connection, self.generation = connection, generation
        # What psycopg asks for in binary, neither side has to spell out as text.
        options = {"binary": True} if engine.dialect.driver == "psycopg" else {}
        self.cursor = connection.cursor(**options)
        # SQLite takes its one write lock at once, so that it waits for it and never fails later.
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "BEGIN"
        self._statements = statements

    def execute(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """Run a statement; how many rows it met."""
        prepared = self._statements[statement]
        self.cursor.execute(prepared.text, prepared.arrange(values))
        met: int = self.cursor.rowcount
        return met

    def fetch(self, statement: Executable, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The row that a statement finds, if it finds one."""
        prepared = self._statements[statement]
        self.cursor.execute(prepared.text, prepared.arrange(values))
        row: tuple[Any, ...] | None = self.cursor.fetchone()
        return row

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several statements as one. After an error the line is to be closed, which undoes it."""
        self.cursor.execute(self._begin)
        yield
        self.cursor.execute("COMMIT")

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        # SQLite keeps a closed connection, and its lock, as long as there is a cursor on it: with
        # an error's traceback that may be long.
        for each in (self.cursor, self.connection):
            with suppress(Exception):
                each.close()


class Lines:
    """The lines of one process to one database. Safe for threads."""

    def __init__(self, engine: Engine, breaker: Breaker, patience: float) -> None:
        """`patience`: how many seconds to wait for a line when all are in use."""
        self._engine, self._breaker, self._patience = engine, breaker, patience
        self._statements = PreparedStatements(engine.dialect)
        # The one used last is taken first: its server process, and its caches, are warm.
        self._idle: deque[Line] = deque()
        self._condition = threading.Condition()
        self._open = self._waiting = self._generation = 0

    def take(self) -> Line:
        """A line, which is then the caller's until it is given back or closed.

        Raises StoreUnavailable if none can be had.
        """
        try:
            line = self._idle.pop()
        except IndexError:
            return self._wait_or_open()
        return line if line.generation == self._generation else self._other_than(line)

    def give_back(self, line: Line) -> None:
        """Let others have a line that works."""
        if line.generation != self._generation or len(self._idle) >= KEPT:
            self.close(line)
            return
        self._idle.append(line)
        if self._waiting:
            with self._condition:
                self._condition.notify()

    def close(self, line: Line) -> None:
        """Give up a line of which nobody knows what state it is in."""
        line.close()
        self._free_a_place()

    def lost(self, line: Line) -> None:
        """Give up a line that turned out dead, and those that were opened before it was known.

        Whoever finds the next of them dead does not close what was opened since.
        """
        self.close(line)
        if line.generation == self._generation:
            self.close_all()

    def close_all(self) -> None:
        """Close the lines that nobody has now, and the others when they are given back."""
        with self._condition:
            self._generation += 1
        with suppress(IndexError):
            while True:
                self.close(self._idle.pop())

    def _other_than(self, old: Line) -> Line:
        """Another line than one that was given back while the others were closed."""
        self.close(old)
        return self.take()

    def _wait_or_open(self) -> Line:
        self._breaker.admit()
        try:
            line = self._next()
        except _AllInUse:
            self._breaker.succeeded()  # the database is not to blame
            raise
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise self._breaker.failed(reason_of(error)) from error
        except BaseException:
            # What else can go wrong here, an interrupt say, must not leave a probe pending.
            self._breaker.failed("interrupted")
            raise
        self._breaker.succeeded()
        return line

    def _next(self) -> Line:
        with self._condition:
            # Counted before the first look, so that who gives back a line behind it sees us.
            self._waiting += 1
            try:
                found = self._condition.wait_for(self._line_or_place, self._patience)
            finally:
                self._waiting -= 1
        if not found:
            raise _AllInUse("all connections are in use")
        if isinstance(found, Line):
            if found.generation == self._generation:
                return found
            found.close()  # and another one takes its place
        return self._opened()

    def _line_or_place(self) -> Line | bool:
        """Take a line that was given back, or the right to open another one if that is True."""
        with suppress(IndexError):
            return self._idle.pop()
        if self._open == MOST:
            return False
        self._open += 1
        return True

    def _opened(self) -> Line:
        try:
            generation = self._generation
            pooled = self._engine.raw_connection()
            connection = pooled.dbapi_connection
            pooled.detach()
            return Line(connection, self._engine, self._statements, generation)
        except PoolTimeout:
            self._free_a_place()
            raise _AllInUse("all connections are in use") from None
        except BaseException:
            self._free_a_place()
            raise

    def _free_a_place(self) -> None:
        with self._condition:
            self._open -= 1
            self._condition.notify()


class _AllInUse(StoreUnavailable):
    """Nothing is wrong, but all connections were in use for as long as one may wait."""


def reason_of(error: BaseException) -> str:
    """A driver's message in one line, without the statement and its parameters."""
    original = getattr(error, "orig", None) or error
    return f"{type(original).__name__}: {str(original).strip().partition(chr(10))[0]}"
