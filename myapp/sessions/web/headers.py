"""What a response says of the sessions that its request looked at (S8)."""

from __future__ import annotations

import logging
import re
from typing import Final

from pyramid.request import Request
from pyramid.response import Response

from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.saving import Outcome
from myapp.sessions.core.session import Session
from myapp.sessions.web import cookie

log = logging.getLogger(__name__)

REGISTRY_KEY: Final = "myapp.sessions"

_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


def write_headers(
    request: Request,
    response: Response,
    manager: SessionManager,
    session: Session,
    outcome: Outcome,
) -> None:
    """Say in the response what was done; of a session that nobody looked at, nothing (S8)."""
    header = outcome.cookie
    if header is not None and (header != manager.cookie.deletion or _was_sent(request, manager)):
        response.headers.add("Set-Cookie", header)
        response.headers["Cache-Control"] = "no-store"
        _warn_of_plain_http(request, manager)
    elif session.user_id is not None and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"


def add_vary(response: Response) -> None:
    """Say that the response depends on the cookie, once."""
    # Past WebOb's dictionary of headers, which is made anew at each look.
    present = response.headerlist
    # A loop, since before Python 3.12 a comprehension is a call of its own, at each request.
    vary = []
    for name, value in present:
        if name.lower() == "vary":
            vary.append(value)
    if not vary:
        present.append(("Vary", "Cookie"))
        return
    names = {name.strip().lower() for value in vary for name in value.split(",")}
    if not names & {"cookie", "*"}:
        response.headers["Vary"] = ", ".join([*vary, "Cookie"])


def _was_sent(request: Request, manager: SessionManager) -> bool:
    """Whether there is a cookie to be deleted."""
    return cookie.was_sent(request.environ, manager.cookie.name)


def _warn_of_plain_http(request: Request, manager: SessionManager) -> None:
    if not manager.settings.cookie_secure or request.environ["wsgi.url_scheme"] == "https":
        return
    host = re.sub(r":\d*$", "", request.host)
    if host in _LOOPBACK or host.endswith(".localhost"):
        return
    warned: set[str] = request.registry[REGISTRY_KEY].warned
    if manager.name not in warned:
        warned.add(manager.name)
        log.warning(
            "A Secure cookie was sent over plain http to %s: browsers drop it, and sessions don't"
            " stick. Behind a proxy that ends TLS, set trusted_proxy and trusted_proxy_headers ="
            " x-forwarded-proto in [server:main]; for plain http, %scookie_secure = false.",
            host,
            manager.settings.prefix,
        )
