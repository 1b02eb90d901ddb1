"""Counts the work of a request by the calls that it makes, which no busy machine changes."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from tests.sessions.app import HTTPS


@dataclass
class Effort:
    """The calls of Python and C functions within one request, by this thread alone."""

    calls: int = 0
    statements: int = 0
    """Those of SQLite's `execute`."""
    ours: list[str] = field(default_factory=list)
    """The functions of this package in the order of their calls, and what they call in C."""

    _depth: int = 0

    def note(self, frame: FrameType, event: str, function: Any) -> None:
        """A profile function, see `sys.setprofile`."""
        module = frame.f_globals.get("__name__", "")
        is_ours = module.startswith("myapp.")
        if event == "call":
            self.calls += 1
            self._depth += is_ours
            if is_ours:
                self._note(f"{module}.{frame.f_code.co_qualname}")
        elif event == "return":
            self._depth -= is_ours
        elif event == "c_call":
            self.calls += 1
            name = function.__qualname__
            self.statements += name == "Cursor.execute"
            if is_ours:
                self._note(f"  {name}")

    def _note(self, name: str) -> None:
        self.ours.append("  " * self._depth + name)


Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


def effort_of(application: Application, path: str, cookie: str) -> Effort:
    """What a request costs."""
    effort = Effort()
    environ = environ_of(path, cookie)
    headers: list[Any] = []
    before = sys.getprofile()
    # A collection would call finalizers, of whatever tests ran before.
    gc.collect()
    gc.disable()
    try:
        sys.setprofile(effort.note)
        body = application(environ, lambda *args: headers.append(args))
        sys.setprofile(before)
    finally:
        sys.setprofile(before)
        gc.enable()
    assert b"".join(body) == b"hello"
    assert headers[0][0] == "200 OK"
    return effort


def environ_of(path: str, cookie: str) -> dict[str, Any]:
    """A request as a server hands it over, over https."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_USER_AGENT": "test",
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    return environ | HTTPS | ({"HTTP_COOKIE": cookie} if cookie else {})
