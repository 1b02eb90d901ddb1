"""What a test learns from listening to a database: the statements and the round trips.

A record is filled by several threads, in the order in which the database saw things.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Wire:
    """What was said to a database while somebody listened."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self._lock = threading.Lock()
        self._statements: list[str] = []
        self._round_trips = 0
        self._connections = 0

    @property
    def statements(self) -> list[str]:
        """The statements in the order in which they were executed, BEGIN and COMMIT included."""
        with self._lock:
            return list(self._statements)

    @property
    def verbs(self) -> list[str]:
        """The first word of each statement, in capitals."""
        return [verb(statement) for statement in self.statements]

    @property
    def round_trips(self) -> int:
        """How often the client had to wait for an answer, connecting included."""
        with self._lock:
            return self._round_trips

    @property
    def connections(self) -> int:
        """How many connections were opened."""
        with self._lock:
            return self._connections

    def reset(self) -> None:
        """Forget everything heard so far."""
        with self._lock:
            self._statements.clear()
            self._round_trips = self._connections = 0

    def heard_statement(self, text: str) -> None:
        """Note a statement that is on its way to the database."""
        with self._lock:
            self._statements.append(text.strip())

    def heard_answer(self) -> None:
        """Note the first part of an answer to what the client said."""
        with self._lock:
            self._round_trips += 1

    def heard_connection(self) -> None:
        """Note a new connection."""
        with self._lock:
            self._connections += 1


class Tap(Protocol):
    """A place where one can listen to a database."""

    @property
    def url(self) -> str:
        """The SQLAlchemy URL under which the database is heard."""

    def listen(self, wire: Wire) -> AbstractContextManager[None]:
        """Tell the record everything that is said within the block."""


def verb(statement: str) -> str:
    """Return the first word of a statement in capitals, or an empty string.

    MariaDB's `SET STATEMENT … FOR` belongs to the statement that follows it.
    """
    words = statement.upper().split()
    if words[:2] == ["SET", "STATEMENT"] and "FOR" in words:
        words = words[words.index("FOR") + 1 :]
    return next(iter(words), "").rstrip(";")


@contextmanager
def listening(wires: list[Wire], wire: Wire) -> Iterator[None]:
    """Keep the record in the list for the time of the block."""
    wires.append(wire)
    try:
        yield
    finally:
        wires.remove(wire)
