"""Opens connections for the pool, if the breaker lets it, and judges what goes wrong."""

from __future__ import annotations

import sys
import time
import weakref
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from myapp.database import reason_of
from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.sql.breaker import Attempt, Breaker
from myapp.sessions.sql.compiled import CompiledStatements
from myapp.sessions.sql.connection import Connection, Place
from myapp.sessions.sql.errors import is_full

KEPT: Final = 10
"""How many unused connections stay open."""

_FULL_FOR: Final = 5.0
"""Seconds for which nobody asks again for a connection more than the server has granted."""


class Places(set["weakref.ref[Place]"]):
    """All places that are taken.

    It counts what exists, by weak references: what a thread drops when it is interrupted leaves the
    count as soon as it is garbage-collected, without telling anybody.
    """

    def take_one(self, most: int) -> Place | None:
        """One more, unless that would be too many. Of several who come at once for the last one
        all may step back: they look again.
        """
        if len(self) >= most:
            return None
        place = Place()
        # In one line, or the reference would not be known when it is to be discarded.
        self.add(weakref.ref(place, self.discard))
        return place if len(self) <= most else None

    def leave(self, place: Place) -> None:
        """Leave a place at once, though a traceback may still hold it."""
        self.discard(weakref.ref(place))

    def count_open(self) -> int:
        """How many connections there are."""
        places = [reference() for reference in self.copy()]
        return sum(place is not None and place.is_open for place in places)


class Opener:
    """Makes the connections of one pool."""

    def __init__(
        self, engine: Engine, statements: CompiledStatements, breaker: Breaker, places: Places
    ) -> None:
        self._engine, self._breaker, self._places = engine, breaker, places
        self._statements = statements
        self._full = (0, 0.0)  # how many the server grants, until when

    @property
    def granted(self) -> int:
        """How many connections the server grants, as far as it is known."""
        granted, until = self._full
        return granted if time.monotonic() < until else sys.maxsize

    def open(self, place: Place, generation: object) -> Connection | None:
        """A new connection; None if the server grants no more than we have.

        Raises StoreUnavailable, and lets interrupts through.
        """
        attempt = self._breaker.admit()
        try:
            connection = self._connected(place, generation)
        except BaseException as error:
            if self._is_granted_no_more(error):
                self._breaker.succeeded(attempt)
                return None
            trouble = self._trouble(attempt, error)
            if trouble is None:
                raise
            raise trouble from error
        self._breaker.succeeded(attempt)
        return connection

    def _trouble(self, attempt: Attempt, error: BaseException) -> StoreUnavailable | None:
        """What to raise for a failed connect; None for an interrupt, which is no sign of an
        outage.
        """
        if isinstance(error, SQLAlchemyError | self._engine.dialect.loaded_dbapi.Error):
            return self._breaker.failed(attempt, reason_of(error))
        attempt.end()
        return None

    def _is_granted_no_more(self, error: BaseException) -> bool:
        """Whether the server has as many connections as it takes, some of them ours."""
        count = self._places.count_open() if is_full(error) else 0
        if count:
            self._full = count, time.monotonic() + _FULL_FOR
        return bool(count)

    def _connected(self, place: Place, generation: object) -> Connection:
        is_spare = len(self._places) > KEPT
        made = self._engine.raw_connection()
        driver = made.dbapi_connection
        made.detach()
        connection = Connection(driver, self._engine.dialect, self._statements, generation, place)
        connection.is_spare, place.is_open = is_spare, True
        return connection
