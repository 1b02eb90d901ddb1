"""A psycopg connection that does not wait for ever for a server that says nothing more.

PostgreSQL's statement_timeout is kept by the server, and TCP's timeouts by its kernel: neither
ends the wait for a process that hangs on a machine that is up.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every exchange with the server ends within `patience` seconds.

    One that takes longer is closed, with an OperationalError.
    """

    patience: float = 60.0

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as psycopg does, for so long."""
        limit = self.patience if timeout is None else min(timeout, self.patience)
        try:
            return super().wait(gen, interval, limit)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {limit:g} s") from error
