"""waitress for pserve: it checks its settings first, and finishes running requests before it ends.

The options that it is called with are right; what its ini file says about `http_port` may not be,
see `myapp.server_settings`.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import warnings
from contextlib import suppress
from typing import Any

from waitress.server import create_server

from myapp.draining import Draining
from myapp.environment import SettingError
from myapp.server_settings import ServerSettings, read_server_settings


def serve(app: Any, global_config: dict[str, str], **options: str) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status. `options` are those of
    `[server:main]`.

    If a setting can't be used, or an address can't be bound, the process ends with one line.
    """
    try:
        settings = read_server_settings(options, global_config)
        sockets: dict[int, Any] = {}
        server = _listening(app, settings, sockets)
    except SettingError as error:
        print(f"myapp: {error}", file=sys.stderr, flush=True)
        # pserve treats SystemExit here as success, with status 0. There is nothing to clean up.
        os._exit(1)
    server.print_listen("Serving on http://{}:{}")
    Draining(sockets, settings.graceful_timeout).serve()
    return 0


def _listening(app: Any, settings: ServerSettings, sockets: dict[int, Any]) -> Any:
    """A server whose sockets are in `sockets`; raises SettingError."""
    try:
        _refuse_taken(settings.options.get("unix_socket"))
        with warnings.catch_warnings():
            # Deprecated options still work; don't print the warnings of waitress.
            warnings.simplefilter("ignore", DeprecationWarning)
            return create_server(app, map=sockets, **settings.options)
    except ValueError as error:
        # A combination that waitress alone knows about; its words name the options.
        raise SettingError("[server:main]", settings.address, settings.source, str(error)) from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        expected = f"a free address of this machine that this user may use ({why})"
        raise SettingError(settings.named, settings.address, settings.source, expected) from None


def _refuse_taken(path: str | None) -> None:
    """Raise OSError if another server listens at the path of a Unix socket.

    waitress takes the path for its own, and nobody would reach the other one any more.
    """
    if path is None:
        return
    # Left behind, or another user's, of which only waitress can make something.
    nobody = suppress(FileNotFoundError, ConnectionRefusedError, PermissionError)
    with socket.socket(socket.AF_UNIX) as client, nobody:
        client.setblocking(False)  # or it would wait where the other one's backlog is full
        with suppress(BlockingIOError):
            client.connect(path)
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
