"""Listens to SQLite, which has no wire: the driver itself tells what it executes.

A statement counts as one round trip, so that a test reads alike on every database.
"""

import sqlite3
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine, Pool, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from harness.wire.record import Wire, listening


class SQLiteTap:
    """Hears one engine, or every engine of this process that uses a database file.

    It hears connections that were opened, or taken from a pool, since its ``with`` block began.
    """

    def __init__(self, url: str, engine: Engine | None = None) -> None:
        """Prepare to hear the engine, or all of the URL's file when it is None."""
        self.url = url
        self._target = Pool if engine is None else engine
        self._file = None if engine is not None else Path(make_url(url).database or "").resolve()
        self._traced: list[sqlite3.Connection] = []
        self._wires: list[Wire] = []

    def __enter__(self) -> Self:
        """Begin to hear."""
        # First of all listeners, so as to hear what the others say.
        event.listen(self._target, "connect", self._trace, insert=True)
        event.listen(self._target, "checkout", self._trace)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the connections as they were."""
        event.remove(self._target, "connect", self._trace)
        event.remove(self._target, "checkout", self._trace)
        for connection in self._traced:
            # It may be closed by now, or belong to another thread alone.
            with suppress(sqlite3.ProgrammingError):
                connection.set_trace_callback(None)

    def listen(self, wire: Wire) -> AbstractContextManager[None]:
        """Tell the record every statement within the block."""
        return listening(self._wires, wire)

    def _trace(self, connection: object, entry: ConnectionPoolEntry, *_: object) -> None:
        if not isinstance(connection, sqlite3.Connection) or connection in self._traced:
            return
        if self._file is None or self._file == _file_of(connection):
            self._traced.append(connection)
            connection.set_trace_callback(self._tell)

    def _tell(self, statement: str) -> None:
        for wire in list(self._wires):
            wire.heard_statement(statement)
            wire.heard_answer()


def _file_of(connection: sqlite3.Connection) -> Path:
    _, _, file = connection.execute("PRAGMA database_list").fetchone()
    return Path(file).resolve()
