"""waitress's loop with a graceful end: accept no more, finish what runs, within a time limit.

A signal is only noted, and handled between two turns of the loop: an exception in the middle of a
turn could lose a connection that was just accepted.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from types import FrameType
from typing import Any, Final

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer

log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_TURN: Final = 0.1
"""Seconds after which a turn ends by itself, for requests whose client is gone."""
_FIRST_WORD: Final = 0.5
"""Seconds in which a new connection may send its request, which may be on its way."""


class Draining:
    """The life of a server, whose sockets and connections are in `sockets`."""

    def __init__(self, sockets: dict[int, Any], graceful_timeout: float) -> None:
        self._sockets, self._timeout = sockets, graceful_timeout
        self._servers = [each for each in sockets.values() if isinstance(each, BaseWSGIServer)]
        self._signal: int | None = None
        for server in self._servers:
            server.channel_class, server.draining = _Channel, False

    def serve(self) -> None:
        """Serve until a signal, then finish. Another signal ends the process at once."""
        for each in SIGNALS:
            signal.signal(each, self._note)
        adjustments = self._servers[0].adj
        while self._signal is None:
            self._turn(adjustments.asyncore_loop_timeout, adjustments.asyncore_use_poll)
        self._drain()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            # Not by the signal's default action, which the first process of a container ignores.
            os._exit(128 + number)
        self._signal = number
        self._servers[0].pull_trigger()

    def _turn(self, seconds: float, use_poll: bool) -> None:
        wasyncore.loop(seconds, use_poll, self._sockets, count=1)

    def _drain(self) -> None:
        deadline = time.monotonic() + self._timeout
        for server in self._servers:
            _stop_accepting(server)
            server.draining = True
        for channel in self._channels():
            channel.announce_the_end()
        while self._busy() and time.monotonic() < deadline:
            # Many more connections than usual may have come at once: more than select() can take.
            self._turn(_TURN, use_poll=True)
        self._end()

    def _busy(self) -> bool:
        """Close what waits for nothing; whether anything is left."""
        for channel in self._channels():
            if channel.idle:
                channel.handle_close()
        # The thread of a request works on even if its client has left.
        return bool(self._channels()) or self._working() > 0

    def _end(self) -> None:
        left = self._channels()
        if left or self._working():
            count = max(len(left), self._working())
            log.warning("%d requests were cut off after %g s", count, self._timeout)
        self._servers[0].task_dispatcher.shutdown(timeout=0 if left else 1)
        wasyncore.close_all(self._sockets, ignore_all=True)

    def _channels(self) -> list[_Channel]:
        return [each for each in self._sockets.values() if isinstance(each, _Channel)]

    def _working(self) -> int:
        dispatcher = self._servers[0].task_dispatcher
        return len(dispatcher.queue) + int(dispatcher.active_count)


def _stop_accepting(server: Any) -> None:
    """Take the connections that already wait, and then no more."""
    for _ in range(server.adj.backlog):
        before = len(server._map)
        server.handle_accept()
        if len(server._map) == before:
            break
    # The server's own close() would close its trigger too, which running requests still pull.
    wasyncore.dispatcher.close(server)


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection that is told to close with the answer to its last request."""

    _served = False

    @property
    def idle(self) -> bool:
        """Whether it has no request, has nothing to send, and was given time for its first."""
        if self.requests or self.request is not None or self.total_outbufs_len:
            return False
        return self._served or time.time() - self.creation_time > _FIRST_WORD

    def service(self) -> None:
        """Answer one request."""
        self._served = True
        if self.server.draining:
            self.announce_the_end()
        super().service()

    def announce_the_end(self) -> None:
        """Close the connection with the answer to the last request that it has sent."""
        with self.requests_lock:
            # Requests that arrived behind it before it was answered must be answered, too.
            if self.requests and self.request is None:
                self.requests[-1].headers["CONNECTION"] = "close"
