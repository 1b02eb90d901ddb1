"""What a response says about the sessions that its request used (S8)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

from pyramid.request import Request
from pyramid.response import Response

from myapp.sessions.core.kind import Kind
from myapp.sessions.core.lifetime import SECOND, max_age
from myapp.sessions.core.saved import Saved
from myapp.sessions.core.state import Loaded, State
from myapp.sessions.web.cookie import delete_cookie, set_cookie, was_sent

log = logging.getLogger(__name__)

REGISTRY_KEY: Final = "myapp.sessions"

_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


def write_headers(request: Request, response: Response, state: State, saved: Saved) -> None:
    """Tell the client what was done with a session that the request used."""
    kind, row = state.kind, state.loaded.row if state.loaded else None
    header = None
    # A session that was found by its handle has no token that could be sent.
    if saved.sets_cookie and saved.loaded is not None and saved.loaded.token:
        _warn_of_plain_http(request, kind)
        header = _cookie(kind, saved.loaded)
    elif saved.deletes_cookie and was_sent(request.environ, kind.settings.cookie_name):
        header = delete_cookie(kind.settings)
    # Bypasses WebOb's dictionary of headers, which searches the whole list at each step.
    headers = response.headerlist
    if header is not None:
        headers[:] = [each for each in headers if each[0].lower() != "cache-control"]
        headers += [("Cache-Control", "no-store"), ("Set-Cookie", header)]
    elif row is not None and row.user_id is not None and not _has_cache_control(headers):
        headers.append(("Cache-Control", "no-store"))


def _has_cache_control(headers: Iterable[tuple[str, str]]) -> bool:
    return any(name.lower() == "cache-control" for name, _ in headers)


def _cookie(kind: Kind, loaded: Loaded) -> str:
    """The cookie for the row that was written: it never outlives the row (R5)."""
    remember, row = loaded.content.remember, loaded.row
    persist = kind.settings.cookie_persist if remember is None else remember
    left = None
    if persist and row is not None:
        now = kind.clock()
        # It was written a moment ago, and a new session's cookie lasts as long as the settings say.
        written = row.seen_at if 0 <= now - row.seen_at < SECOND else now
        left = max_age(now=written, deadline=row.deadline)
    return set_cookie(kind.settings, loaded.token or "", left)


def add_vary(response: Response) -> None:
    """Say that the response depends on the cookie, once."""
    # Bypasses WebOb's dictionary of headers, which is rebuilt at each access.
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


def _warn_of_plain_http(request: Request, kind: Kind) -> None:
    if not kind.settings.cookie_secure or request.environ["wsgi.url_scheme"] == "https":
        return
    host = re.sub(r":\d*$", "", request.host)
    if host in _LOOPBACK or host.endswith(".localhost"):
        return
    warned: set[str] = request.registry[REGISTRY_KEY].warned
    if kind.name not in warned:
        warned.add(kind.name)
        log.warning(
            "A Secure cookie was sent over plain http to %s: browsers drop it, and sessions don't"
            " stick. Behind a proxy that ends TLS, set trusted_proxy and trusted_proxy_headers ="
            " x-forwarded-proto in [server:main]; for plain http, %scookie_secure = false.",
            host,
            kind.settings.prefix,
        )
