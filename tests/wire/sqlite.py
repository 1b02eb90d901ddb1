"""Listens to SQLite, which has no wire: the driver itself tells what it executes.

A statement counts as one round trip, so that a test reads alike on every database.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine, Pool, event

from tests.wire.record import Wire


class SQLiteTap:
    """Hears one engine, or every SQLite engine of this process."""

    def __init__(self, url: str, engine: Engine | None = None) -> None:
        """Prepare to hear the engine, or all when it is None."""
        self.url = url
        self._target = Pool if engine is None else engine.pool

    @contextmanager
    def listen(self, wire: Wire) -> Iterator[None]:
        """Tell the record every statement of connections that are taken within the block."""
        traced: list[sqlite3.Connection] = []

        def trace(connection: object, *_: object) -> None:
            if isinstance(connection, sqlite3.Connection) and connection not in traced:
                traced.append(connection)
                connection.set_trace_callback(_told(wire))

        event.listen(self._target, "connect", trace, insert=True)
        event.listen(self._target, "checkout", trace)
        try:
            yield
        finally:
            event.remove(self._target, "connect", trace)
            event.remove(self._target, "checkout", trace)
            for connection in traced:
                # It may be closed by now, or belong to another thread alone.
                with suppress(sqlite3.ProgrammingError):
                    connection.set_trace_callback(None)


def _told(wire: Wire) -> Callable[[str], None]:
    def tell(statement: str) -> None:
        wire.heard_statement(statement)
        wire.heard_answer()

    return tell
