"""Reads the statements out of what a client sends to PostgreSQL or MariaDB.

A reader belongs to one connection and has to see all of it from the start; what it does not know
it passes over. It reads no TLS.
"""

import struct
from typing import Protocol

_COM_QUERY = 0x03
_COM_PING = 0x0E
# Client requests that come before PostgreSQL's start-up message and have its form.
_PRELUDES = {80877102, 80877103, 80877104}


class Reader(Protocol):
    """The statements of one connection."""

    def read(self, data: bytes) -> list[str]:
        """Return the statements that are complete with these bytes."""


class PostgreSQLReader:
    """Statements of PostgreSQL's protocol 3, simple and extended.

    A prepared statement counts each time that it is executed, not when it is parsed.
    """

    def __init__(self) -> None:
        """Expect the start-up message, which has no type."""
        self._buffer = b""
        self._started = False
        self._prepared: dict[bytes, bytes] = {}
        self._portals: dict[bytes, bytes] = {}

    def read(self, data: bytes) -> list[str]:
        """Return the statements that are complete with these bytes."""
        self._buffer += data
        found: list[str] = []
        while (message := self._next_message()) is not None:
            statement = self._statement(*message)
            if statement is not None:
                found.append(statement.decode(errors="replace"))
        return found

    def _next_message(self) -> tuple[bytes, bytes] | None:
        kind_size = 1 if self._started else 0
        header = kind_size + 4
        if len(self._buffer) < header:
            return None
        (length,) = struct.unpack_from("!I", self._buffer, kind_size)
        end = kind_size + length
        if len(self._buffer) < end:
            return None
        kind, body = self._buffer[:kind_size], self._buffer[header:end]
        self._buffer = self._buffer[end:]
        return kind, body

    def _statement(self, kind: bytes, body: bytes) -> bytes | None:
        match kind:
            case b"":
                (code,) = struct.unpack_from("!I", body)
                self._started = code not in _PRELUDES
            case b"Q":
                return body.rstrip(b"\0")
            case b"P":
                name, text, _ = body.split(b"\0", 2)
                self._prepared[name] = text
            case b"B":
                portal, name, _ = body.split(b"\0", 2)
                self._portals[portal] = self._prepared.get(name, b"")
            case b"E":
                portal, _ = body.split(b"\0", 1)
                return self._portals.get(portal, b"")
        return None


class MariaDBReader:
    """Statements of the MySQL protocol, as a driver without server-side statements sends them.

    A ping, which a connection pool may send before it lends a connection, is listed as PING.
    """

    def __init__(self) -> None:
        """Expect the answer to the server's greeting."""
        self._buffer = b""

    def read(self, data: bytes) -> list[str]:
        """Return the statements that are complete with these bytes."""
        self._buffer += data
        found: list[str] = []
        while (packet := self._next_packet()) is not None:
            statement = _command(*packet)
            if statement is not None:
                found.append(statement)
        return found

    def _next_packet(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 4:
            return None
        end = 4 + int.from_bytes(self._buffer[:3], "little")
        if len(self._buffer) < end:
            return None
        sequence, body = self._buffer[3], self._buffer[4:end]
        self._buffer = self._buffer[end:]
        return sequence, body


def _command(sequence: int, body: bytes) -> str | None:
    # A command starts a new sequence; other packets belong to the greeting or to a command.
    if sequence != 0 or not body:
        return None
    if body[0] == _COM_QUERY:
        return body[1:].decode(errors="replace")
    return "PING" if body[0] == _COM_PING else None
