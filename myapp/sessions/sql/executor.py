"""Runs statements on the pool's connections, and repeats them if that is harmless."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Engine

from myapp.database import is_duplicate, is_read_only, reason_of
from myapp.pooler import is_stale
from myapp.sessions.core.errors import SessionError, StoreUnavailable
from myapp.sessions.core.fork import PerProcess, process_id
from myapp.sessions.sql.connection import Connection
from myapp.sessions.sql.errors import ConnectionLost, RaceLost, translated
from myapp.sessions.sql.outages import Trouble
from myapp.sessions.sql.pool import Pool

T = TypeVar("T")

RACES: Final = 10
"""How often a write is tried that keeps losing races."""

_FIRST_PAUSE: Final = 0.004  # seconds, doubled after each race
_LONGEST_PAUSE: Final = 0.25
_PROMPT: Final = 1.0
"""A connection that was dead all along fails within this time. One that took longer may take as
long again, and nobody should wait twice."""


# What only looks.
_READS: Final = frozenset({Connection.fetch_one, Connection.fetch_all, Connection.columns})


class Executor:
    """Lends connections, takes them back and judges errors."""

    def __init__(self, engine: Engine, pools: PerProcess[Pool], timeout: float) -> None:
        """`timeout`: after so many seconds nothing is tried again."""
        self._dialect, self._pools, self._timeout = engine.dialect, pools, timeout
        self._driver_error = engine.dialect.loaded_dbapi.Error

    def run(
        self,
        use: Callable[..., T],
        *arguments: Any,
        single: bool = True,
        done: Callable[[], T] | None = None,
    ) -> T:
        """Use a connection, for a single statement or for a transaction.

        If the connection broke, `done` says whether the work was done anyway (S7): if it returns
        something true, that is the result. Otherwise the work is tried once more on another
        connection if this one was dead all along (L2), or after a lost race.
        """
        attempts = None
        while True:
            pool = self._pools[process_id()]
            connection = pool.take()
            started = time.monotonic()
            try:
                if single:
                    answer = use(connection, *arguments)
                else:
                    answer = connection.transact(use, *arguments)
            except self._driver_error as error:
                trouble = self._judged(pool, connection, error, started, single=single)
                if done is not None and isinstance(trouble, ConnectionLost) and (found := done()):
                    return found
                attempts = attempts or _Attempts(started + self._timeout)
                if not attempts.allow_another(trouble):
                    _tell(pool, trouble, error, use)
                    raise trouble from error
            except BaseException:
                pool.close(connection)
                raise
            else:
                if started > pool.breaker.answered:
                    pool.breaker.answered = started
                pool.give_back(connection)
                if pool.breaker.outages.under_way:
                    _tell_success(pool, use)
                return answer

    def _judged(
        self, pool: Pool, connection: Connection, error: Any, started: float, *, single: bool
    ) -> SessionError:
        """What a driver's error means; the connection is given back or closed by that."""
        lost = self._dialect.is_disconnect(error, connection.driver, connection.cursor)
        # A server that takes no writes may not be the one to write to any more (L8).
        if lost or is_read_only(error):
            pool.lost(connection)
            prompt = time.monotonic() - started < _PROMPT
            return ConnectionLost(reason_of(error), prompt=prompt, read_only=not lost)
        if is_stale(error):
            # So would it be on each connection that is older than the table is now.
            pool.lost(connection)
            return translated(error)
        if single or connection.roll_back():
            pool.give_back(connection)
        else:
            pool.close(connection)
        return translated(error)


def _tell(
    pool: Pool, trouble: SessionError, error: BaseException, use: Callable[..., object]
) -> None:
    """Note what a request is refused for. A missing table is no outage, nor is a digest that is
    stored already.
    """
    if not isinstance(trouble, StoreUnavailable) or is_duplicate(error):
        return
    lost = isinstance(trouble, ConnectionLost) and not trouble.read_only
    what: Trouble = "connecting" if lost or use in _READS else "writing"
    pool.breaker.outages.refused(what, trouble.reason)


def _tell_success(pool: Pool, use: Callable[..., object]) -> None:
    """Note what works again."""
    pool.breaker.works("waiting", *(() if use in _READS else ("writing",)))


class _Attempts:
    """How often the same thing went wrong."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._lost = self._races = 0

    def allow_another(self, trouble: SessionError) -> bool:
        """Whether to try again now; after a lost race, it first waits a moment."""
        if isinstance(trouble, RaceLost):
            self._races += 1
            return self._races < RACES and self._pause()
        self._lost += 1
        return self._lost == 1 and isinstance(trouble, ConnectionLost) and trouble.prompt

    def _pause(self) -> bool:
        """Wait for a random time, or the same two would collide; not if that takes too long."""
        longest = min(_FIRST_PAUSE * 2**self._races, _LONGEST_PAUSE)
        # The system's randomness: the application may have seeded the other.
        pause = random.SystemRandom().uniform(0, longest)
        if time.monotonic() + pause > self._until:
            return False
        time.sleep(pause)
        return True
