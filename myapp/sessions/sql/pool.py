"""Connections to the sessions' database that all threads of a process share, one at a time each.

SQLAlchemy's engine makes them; from then on they are kept here, each with a cursor of its own, and
taken for one statement or one transaction. Nobody holds one longer than that, so that there may be
many more threads than connections. Nothing here asks whether a connection still works: who uses
one finds out, and tells.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.sql.breaker import Breaker
from myapp.sessions.sql.compiled import CompiledStatements
from myapp.sessions.sql.connection import Connection
from myapp.sessions.sql.errors import reason_of

MOST: Final = 15
"""Connections at a time, in one process."""

KEPT: Final = 10
"""So many of them stay open while nobody uses them."""


class Pool:
    """The connections of one process to one database. Safe for threads."""

    def __init__(self, engine: Engine, breaker: Breaker, patience: float) -> None:
        """`patience`: how many seconds to wait for a connection when all are in use."""
        self._engine, self._breaker, self._patience = engine, breaker, patience
        self._statements = CompiledStatements(engine.dialect)
        # The one used last is taken first: its server process, and its caches, are warm.
        self._idle: deque[Connection] = deque()
        self._condition = threading.Condition()
        self._open = self._waiting = self._generation = 0

    def take(self) -> Connection:
        """A connection, which is then the caller's until it is given back or closed.

        Raises StoreUnavailable if none can be had.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._wait_or_open()
        return (
            connection
            if connection.generation == self._generation
            else self._other_than(connection)
        )

    def give_back(self, connection: Connection) -> None:
        """Let others have a connection that works."""
        if connection.generation != self._generation or len(self._idle) >= KEPT:
            self.close(connection)
            return
        self._idle.append(connection)
        if self._waiting:
            with self._condition:
                self._condition.notify()

    def close(self, connection: Connection) -> None:
        """Give up a connection of which nobody knows what state it is in."""
        connection.close()
        self._free_a_place()

    def lost(self, connection: Connection) -> None:
        """Give up a connection that turned out dead, and those opened before that was known.

        Whoever finds the next of them dead does not close what was opened since.
        """
        self.close(connection)
        if connection.generation == self._generation:
            self.close_all()

    def close_all(self) -> None:
        """Close the connections that nobody has now, and the others when they are given back."""
        with self._condition:
            self._generation += 1
        with suppress(IndexError):
            while True:
                self.close(self._idle.pop())

    def _other_than(self, old: Connection) -> Connection:
        """Another connection than one that was given back while the others were closed."""
        self.close(old)
        return self.take()

    def _wait_or_open(self) -> Connection:
        self._breaker.admit()
        try:
            connection = self._next()
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
        return connection

    def _next(self) -> Connection:
        with self._condition:
            # Counted before the first look, so that who gives back a connection behind it sees us.
            self._waiting += 1
            try:
                found = self._condition.wait_for(self._connection_or_place, self._patience)
            finally:
                self._waiting -= 1
        if not found:
            raise _AllInUse("all connections are in use")
        if isinstance(found, Connection):
            if found.generation == self._generation:
                return found
            found.close()  # and another one takes its place
        return self._opened()

    def _connection_or_place(self) -> Connection | bool:
        """Take a connection that was given back; True is the right to open another one."""
        with suppress(IndexError):
            return self._idle.pop()
        if self._open == MOST:
            return False
        self._open += 1
        return True

    def _opened(self) -> Connection:
        generation = self._generation
        try:
            made = self._engine.raw_connection()
            driver = made.dbapi_connection
            made.detach()
            return Connection(driver, self._engine.dialect, self._statements, generation)
        except BaseException:
            self._free_a_place()
            raise

    def _free_a_place(self) -> None:
        with self._condition:
            self._open -= 1
            self._condition.notify()


class _AllInUse(StoreUnavailable):
    """Nothing is wrong, but all connections were in use for as long as one may wait."""
