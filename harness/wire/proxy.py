"""A proxy between a client and its database: it listens, and it plays every kind of outage.

It must never change what it passes on: a test of the real thing goes through here.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import Enum, auto
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

from harness.servers.ports import LOOPBACK, free_port
from harness.wire.link import Link
from harness.wire.readers import MariaDBReader, PostgreSQLReader, Reader
from harness.wire.record import Wire, listening, verb

_PORTS = {"postgresql": 5432, "mariadb": 3306, "mysql": 3306}
_READERS: dict[str, Callable[[], Reader]] = {
    "postgresql": PostgreSQLReader,
    "mariadb": MariaDBReader,
    "mysql": MariaDBReader,
}


class _Mode(Enum):
    PASS = auto()
    REFUSE = auto()
    SWALLOW = auto()


class Proxy:
    """Stands between a client and the database of a URL, for the time of a ``with`` block."""

    def __init__(self, database_url: str) -> None:
        """Prepare a proxy for a PostgreSQL or MariaDB database on a TCP port of this machine."""
        self._database = make_url(database_url)
        backend = self._database.get_backend_name()
        self._server = (self._database.host or LOOPBACK, self._database.port or _PORTS[backend])
        self._new_reader = _READERS[backend]
        self._mode = _Mode.PASS
        self._lock = threading.Lock()
        self._links: list[Link] = []
        self._swallowed: list[socket.socket] = []
        self._cuts: list[tuple[str, bool]] = []
        self._cut_answers: set[Link] = set()
        self.port = free_port()
        self.wire = Wire()
        self._wires = [self.wire]

    @property
    def url(self) -> str:
        """The database's URL through the proxy."""
        url = self._database.set(host=LOOPBACK, port=self.port)
        return url.render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        """Begin to accept connections."""
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection and the port."""
        self._close()
        self.drop()

    def listen(self, wire: Wire) -> AbstractContextManager[None]:
        """Tell the record everything that passes within the block; ``wire`` hears all of it."""
        return listening(self._wires, wire)

    def reset(self) -> None:
        """Forget what was heard so far."""
        self.wire.reset()

    def refuse(self) -> None:
        """Refuse new connections, as if the server were down; present ones go on."""
        self._close()
        self._mode = _Mode.REFUSE

    def drop(self, *, abruptly: bool = False) -> None:
        """Close all present connections: in good order, or with a reset."""
        with self._lock:
            links, self._links = self._links, []
            swallowed, self._swallowed = self._swallowed, []
        for link in links:
            link.end(abruptly=abruptly)
        for link in links:
            link.join()
        for client in swallowed:
            client.close()

    def black_hole(self) -> None:
        """Never answer again: new connections are accepted, and nothing passes on any."""
        self._mode = _Mode.SWALLOW

    def restore(self) -> None:
        """End the outage; connections that lost data in a black hole are dropped."""
        if self._mode is _Mode.SWALLOW:
            self.drop()
        if self._mode is _Mode.REFUSE:
            self._open()
        self._mode = _Mode.PASS

    def cut_before(self, statement_verb: str) -> None:
        """Drop the connection at the next statement with this verb, before the server hears it."""
        self._cuts.append((statement_verb, False))

    def cut_after(self, statement_verb: str) -> None:
        """Drop the connection when the server has answered it, before the client hears that."""
        self._cuts.append((statement_verb, True))

    def asked(self, link: Link, statements: list[str]) -> bool:
        """Take note of what a client says; return whether the server may hear it."""
        if self._mode is _Mode.SWALLOW:
            return False
        for wire in list(self._wires):
            for statement in statements:
                wire.heard_statement(statement)
        cut = self._take_cut(statements)
        if cut is None:
            return True
        _, after = cut
        if after:
            self._cut_answers.add(link)
        else:
            link.end()
        return after

    def answered(self, link: Link, first: bool) -> bool:
        """Take note of what the server says; return whether the client may hear it."""
        if self._mode is _Mode.SWALLOW:
            return False
        if link in self._cut_answers:
            self._cut_answers.discard(link)
            link.end()
            return False
        if first:
            self._note(Wire.heard_answer)
        return True

    def _take_cut(self, statements: list[str]) -> tuple[str, bool] | None:
        verbs = {verb(statement) for statement in statements}
        cut = next((cut for cut in self._cuts if cut[0] in verbs), None)
        if cut is not None:
            self._cuts.remove(cut)
        return cut

    def _note(self, tell: Callable[[Wire], None]) -> None:
        for wire in list(self._wires):
            tell(wire)

    def _open(self) -> None:
        self._door = socket.create_server((LOOPBACK, self.port), backlog=128)
        self._doorman = threading.Thread(target=self._accept, args=(self._door,), daemon=True)
        self._doorman.start()

    def _close(self) -> None:
        if self._door.fileno() == -1:
            return
        # Closing alone would leave the thread waiting for the next client.
        self._door.shutdown(socket.SHUT_RDWR)
        self._doorman.join(5)
        self._door.close()

    def _accept(self, door: socket.socket) -> None:
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            self._note(Wire.heard_connection)
            self._welcome(client)

    def _welcome(self, client: socket.socket) -> None:
        if self._mode is _Mode.SWALLOW:
            with self._lock:
                self._swallowed.append(client)
            return
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        with self._lock:
            self._links = [link for link in self._links if link.alive]
            self._links.append(Link(client, server, ear=self, reader=self._new_reader()))
