"""Connections to the sessions' database that all threads of a process share, one at a time each.

SQLAlchemy's engine makes them. From then on they are kept here, each with its own cursor, and lent
for one statement or one transaction. Nobody holds one for longer, so there may be many more threads
than connections. Nothing here checks whether a connection still works: its user finds out, and
reports it.

There is no lock: each step is one operation of a container, which is done or not. An interrupt may
come between any two lines. What it drops is garbage-collected, which frees its place.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import Engine

from myapp.sessions.core.turn import Turn
from myapp.sessions.sql.breaker import Breaker
from myapp.sessions.sql.compiled import CompiledStatements
from myapp.sessions.sql.connection import Connection, Place
from myapp.sessions.sql.opening import KEPT, Opener, Places

if TYPE_CHECKING:
    from weakref import ref

MOST: Final = 15
"""Connections at a time, in one process."""

_LOOK_AGAIN: Final = 0.1
"""Seconds after which a waiting thread checks by itself: garbage collection notifies nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """How a pool stands at a moment."""

    idle: int
    in_use: int
    waiting: int
    """Threads that wait for a connection."""
    waits: int
    """How often one had to, so far."""


class Pool:
    """The connections of one process to one database. Safe for threads, greenlets, interrupts."""

    def __init__(
        self, engine: Engine, statements: CompiledStatements, breaker: Breaker, patience: float
    ) -> None:
        """`patience`: how many seconds to wait for a connection when all are in use."""
        self.breaker, self._patience = breaker, patience
        # The one used last is taken first: its server process, and its caches, are warm.
        self._idle: deque[Connection] = deque()
        self._places = Places()
        self._waiting: deque[ref[Turn[Connection | Place]]] = deque()
        self._count_waits, self._waits = itertools.count(1), 0
        self._generation = object()
        self._opener = Opener(engine, statements, breaker, self._places)

    @property
    def occupancy(self) -> Occupancy:
        """How things stand, more or less: nobody stops for it to be counted."""
        idle = len(self._idle)
        in_use = max(0, self._places.count_open() - idle)
        waiting = len(self._waiting)
        return Occupancy(idle=idle, in_use=in_use, waiting=waiting, waits=self._waits)

    def take(self) -> Connection:
        """A connection, which is then the caller's until it is given back or closed.

        First come, first served. Raises StoreUnavailable if none can be had.
        """
        if self._waiting:
            return self._queue_up()
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._queue_up()
        if connection.generation is self._generation:
            return connection
        self.close(connection)
        return self.take()

    def give_back(self, connection: Connection) -> None:
        """Let others have a connection that works: the one who has waited longest."""
        if connection.generation is not self._generation or (
            connection.is_spare and len(self._idle) >= KEPT
        ):
            self.close(connection)
            return
        self._idle.append(connection)
        if self._waiting:
            self._serve()

    def close(self, connection: Connection) -> None:
        """Give up a connection of which nobody knows what state it is in."""
        connection.close()
        self._leave(connection.place)

    def lost(self, connection: Connection) -> None:
        """Give up a connection that turned out dead, and those opened before that was known.

        A thread that finds the next one dead does not close those that were opened since.
        """
        self.close(connection)
        if connection.generation is self._generation:
            self.close_all()

    def close_all(self) -> None:
        """Close the connections that nobody has now, and the others when they are given back."""
        self._generation = object()
        with suppress(IndexError):
            while True:
                self.close(self._idle.pop())

    def _queue_up(self) -> Connection:
        until = time.monotonic() + self._patience
        turn: Turn[Connection | Place] = Turn()
        self._waiting.append(turn.reference)
        while True:
            given = self._wait(turn, until)
            if isinstance(given, Connection):
                return given
            connection = self._open(given)
            if connection is not None:
                return connection
            # The server grants no more: wait for one of those that there are, as the first.
            turn = Turn()
            self._waiting.appendleft(turn.reference)
            self._leave(given)

    def _wait(self, turn: Turn[Connection | Place], until: float) -> Connection | Place:
        """What the holder of this turn gets: a connection, or the right to open one."""
        has_waited = False
        try:
            while True:
                self._serve()
                if turn.given is not None:
                    return turn.given
                if not has_waited:
                    has_waited, self._waits = True, next(self._count_waits)
                self._refuse_to_wait(until)
                turn.wait(_LOOK_AGAIN)
                # The thread that would have served us may have been interrupted.
                if turn.given is None and turn.reference not in self._waiting:
                    self._waiting.appendleft(turn.reference)
        except BaseException:
            self._withdraw(turn)
            raise

    def _refuse_to_wait(self, until: float) -> None:
        """Raise StoreUnavailable where waiting longer is in vain."""
        if time.monotonic() >= until:
            raise self.breaker.outages.refused("waiting", "all connections are in use")
        if not self._places.count_open():
            self.breaker.refuse_while_stuck()

    def _withdraw(self, turn: Turn[Connection | Place]) -> None:
        with suppress(ValueError):
            self._waiting.remove(turn.reference)
        if isinstance(turn.given, Connection):
            self.give_back(turn.given)
        elif turn.given is not None:
            self._leave(turn.given)

    def _serve(self) -> None:
        """Give what is free to those who wait, in their order."""
        while self._waiting and (free := self._free()) is not None:
            self._hand_over(free)

    def _free(self) -> Connection | Place | None:
        with suppress(IndexError):
            connection = self._idle.pop()
            if connection.generation is self._generation:
                return connection
            connection.close()
            self._places.leave(connection.place)
        return self._places.take_one(min(MOST, self._opener.granted))

    def _hand_over(self, free: Connection | Place) -> None:
        with suppress(IndexError):
            while (turn := self._waiting.popleft()()) is None:
                pass
            turn.give(free)
            return
        # Nobody waits any more.
        if isinstance(free, Connection):
            self._idle.append(free)
        else:
            self._places.leave(free)

    def _open(self, place: Place) -> Connection | None:
        """A new connection; None if the server grants no more than we have."""
        try:
            return self._opener.open(place, self._generation)
        except BaseException:
            self._leave(place)
            raise

    def _leave(self, place: Place) -> None:
        """Give a place back, to the next thread that waits."""
        self._places.leave(place)
        if self._waiting:
            self._serve()
