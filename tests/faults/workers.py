"""How a server process of the checker serves: with threads, or by forking when it has used its
store.

A forked worker has one thread, the main one, as a job queue's or gunicorn's `sync` has; its parent
goes on with threads, by the same socket.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import waitress

from harness.servers.ports import LOOPBACK
from tests.faults.interrupts import Wsgi
from tests.sessions.forking import FORKS

_log = logging.getLogger(__name__)

WORKERS: Final = 2
THREADS: Final = 6
_LOOK: Final = 1.0  # seconds after which a worker looks whether its parent is still there


def serve(port: int, make: Callable[[], Wsgi], fork: str | None) -> None:
    """Serve until killed. `make` is called in each process, and gives what it serves."""
    listening = socket.create_server((LOOPBACK, port), backlog=64)
    parent = os.getpid()
    for _ in range(WORKERS if fork else 0):
        # What Python would do before and after a fork in C is not done.
        if FORKS[fork or ""]() == 0:
            try:
                _work(listening, make(), parent)
            finally:
                os._exit(1)
    waitress.serve(make(), sockets=[listening], threads=THREADS)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


def _logging(app: Wsgi) -> Wsgi:
    """What the server answers with a 500, in the log as waitress has it: with its time."""

    def log(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except BaseException:
            _log.exception("error in the application")
            raise

    return log


def _work(listening: socket.socket, app: Wsgi, parent: int) -> None:
    host, port = listening.getsockname()
    server = WSGIServer((host, port), _Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket, server.timeout = listening, _LOOK
    server.server_name, server.server_port = host, port
    server.setup_environ()
    server.set_app(_logging(app))
    while os.getppid() == parent:
        server.handle_request()
