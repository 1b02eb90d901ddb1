"""One connection through the proxy: a client's socket, a server's, and a thread each way.

Everything is noted before it is passed on, so that a client that has its answer finds it counted.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from harness.wire.readers import Reader

_CHUNK = 65_536
_ABRUPTLY = struct.pack("ii", 1, 0)


class Ear(Protocol):
    """What a link tells, and asks, about the data that passes."""

    def asked(self, link: "Link", statements: list[str]) -> bool:
        """Take note of what the client says; return whether the server may hear it."""

    def answered(self, link: "Link", first: bool) -> bool:
        """Take note of an answer, its first part or a further one; return as above."""


class Link:
    """Passes data between a client and a server until one of them leaves."""

    def __init__(
        self, client: socket.socket, server: socket.socket, *, ear: Ear, reader: Reader
    ) -> None:
        """Start to pass data."""
        self._client = client
        self._server = server
        self._ear = ear
        self._reader = reader
        self._awaiting_answer = False
        for end in (client, server):
            # A delayed packet would cost more time than the database does.
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._threads = [
            threading.Thread(target=self._pass, args=way, daemon=True)
            for way in ((client, server, self._may_ask), (server, client, self._may_answer))
        ]
        self._running = len(self._threads)
        self._ending = False
        self._lock = threading.Lock()
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether the link still passes data."""
        return self._running > 0

    def end(self, *, abruptly: bool = False) -> None:
        """Make both ends close: in good order, or so that the client's next word is an error."""
        with self._lock:
            # The first to end the link decides how.
            if self._ending:
                return
            self._ending = True
        with suppress(OSError):
            if abruptly:
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABRUPTLY)
                self._client.shutdown(socket.SHUT_RD)
            else:
                self._client.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until both ends are closed."""
        for thread in self._threads:
            thread.join(5)

    def _pass(
        self, source: socket.socket, target: socket.socket, may: Callable[[bytes], bool]
    ) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if may(data):
                    target.sendall(data)
        self.end()
        self._leave()

    def _may_ask(self, data: bytes) -> bool:
        self._awaiting_answer = True
        return self._ear.asked(self, self._reader.read(data))

    def _may_answer(self, data: bytes) -> bool:
        first, self._awaiting_answer = self._awaiting_answer, False
        return self._ear.answered(self, first)

    def _leave(self) -> None:
        # A socket closed while the other thread waits on it would leave that thread waiting.
        with self._lock:
            self._running -= 1
            last = self._running == 0
        if last:
            self._client.close()
            self._server.close()
