"""The psycopg connections of an engine: none waits forever, and none leaves state at a pooler.

The server enforces PostgreSQL's statement_timeout, and its kernel TCP's timeouts: neither ends the
wait for a process that hangs on a running machine. Behind a pooler, we can't set the server's limit
at all, see `myapp.pooler`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import URL

from myapp.pooler import AUTO, TRANSACTION, read_threshold

T = TypeVar("T")

# How every version of PgBouncer refuses `options`; it has no error codes.
_REFUSED: Final = "unsupported startup parameter"

_GRACE: Final = 1.0
"""Seconds by which a server that keeps the limit may be late, before we give up on it."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every exchange with the server ends within `patience` seconds.

    One that takes longer is closed, with an OperationalError.
    """

    patience: float = 60.0
    is_unlimited: bool = False
    """Whether the server may not know our limit; if so, we tell it to stop when we give up."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as psycopg does, but no longer than `patience`."""
        limit = self.patience if timeout is None else min(timeout, self.patience)
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            # What the server says, or its silence for good, ends what was under way: only a wait
            # that was given up leaves it so.
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self._give_up()
            raise psycopg.OperationalError(f"no answer within {limit:g} s") from error

    def _give_up(self) -> None:
        # What waits for a lock would go on waiting, and write when nobody expects it any more.
        if self.is_unlimited and psycopg.capabilities.has_cancel_safe():
            with suppress(psycopg.Error):
                self.cancel_safe(timeout=_GRACE)
        self.pgconn.finish()


class Connector:
    """Makes the connections of one engine, and finds out whether each goes to a pooler."""

    def __init__(self, url: URL, pooler: str, limit: int | None) -> None:
        """`limit`: how many milliseconds a statement may take; None for no limit."""
        self._limit = limit
        self._asks = pooler == AUTO
        self._is_pooled = pooler == TRANSACTION
        self._has_options = "options" in url.query
        self._threshold = read_threshold(url)

    def __call__(self, dialect: Any, record: Any, args: list[Any], given: dict[str, Any]) -> Any:
        """SQLAlchemy's event `do_connect`."""
        connection = self._connected(args, given | self._threshold)
        try:
            self._settle(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self, args: list[Any], given: dict[str, Any]) -> psycopg.Connection[Any]:
        kind = psycopg.Connection if self._limit is None else BoundedConnection
        if self._has_options or "options" not in given:
            return kind.connect(*args, **given)
        without = {key: value for key, value in given.items() if key != "options"}
        if self._is_pooled:
            return kind.connect(*args, **without)
        try:
            return kind.connect(*args, **given)
        except psycopg.OperationalError as error:
            if not (self._asks and _REFUSED in str(error)):
                raise
        # Outside of the handler: what goes wrong from here on has nothing to do with that error.
        connection = kind.connect(*args, **without)
        # Only now, since that may fail as well. The next connection need not try.
        self._is_pooled = True
        return connection

    def _settle(self, connection: psycopg.Connection[Any]) -> None:
        if isinstance(connection, BoundedConnection):
            connection.patience = self._patience(grace=_GRACE)
        is_pooled = self._is_pooled or (self._asks and _is_another(connection))
        if not is_pooled:
            return
        if not self._threshold:
            connection.prepare_threshold = None
        if isinstance(connection, BoundedConnection):
            connection.patience, connection.is_unlimited = self._patience(), True

    def _patience(self, grace: float = 0) -> float:
        return (self._limit or 0) / 1000 + grace


def _is_another(connection: psycopg.Connection[Any]) -> bool:
    """Whether the process that answers is not the one that the connection was told of."""
    # In autocommit, so that no transaction is left open. Without parameters nothing is prepared.
    connection.autocommit = True
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    connection.autocommit = False
    return row is not None and row[0] != connection.info.backend_pid
