"""One page of the application itself, as a browser would get it by HTTPS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

from pyramid.interfaces import INewRequest
from pyramid.request import Request

from myapp.scripts.sessions.loaded import Loaded

SITE: Final = "https://audit.invalid"
"""What the request is for; HTTPS, as the proxy would declare it."""

_BROWSER: Final = {"REMOTE_ADDR": "192.0.2.1", "HTTP_ACCEPT": "text/html,*/*;q=0.8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the application answered; no headers where it did not."""

    words: str
    """What was answered, or why nothing was."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in small letters."""
    instead: str = "nothing, before the application answers"
    """What to do where there are none."""

    def header(self, name: str) -> str:
        """A header; empty if it is missing."""
        return self.headers.get(name.lower(), "")

    def shown(self, name: str) -> str:
        """A header as evidence, or why there is none."""
        return f"{name}: {self.header(name) or 'missing'} ({self.words})"


def ask(loaded: Loaded, path: str) -> Page:
    """Ask for a page, be its answer what it may: a redirection or a 404 has headers, too."""
    if loaded.wsgi is None:
        return Page(words=f"the application does not start: {loaded.why_not}")
    reached: list[object] = []
    if loaded.registry is not None:
        loaded.registry.registerHandler(reached.append, (INewRequest,))
        loaded.registry.has_listeners = True
    request = Request.blank(urljoin(SITE, path), environ=_BROWSER)
    try:
        response = request.get_response(loaded.wsgi)
        _close(response.app_iter)
    except (Exception, SystemExit) as error:
        return Page(words=f"GET {path} raises {type(error).__name__}")
    if not reached:
        return Page(
            words=f"GET {path} does not reach the application with the sessions",
            instead="--page with a path of that application",
        )
    headers: dict[str, str] = {}
    for name, text in response.headerlist:
        # Several of one name mean the same as one with commas.
        key = name.lower()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Page(words=f"GET {path}: {response.status_int}", headers=headers)


def _close(body: Any) -> None:
    """As a server would: an application may have opened something for it."""
    if hasattr(body, "close"):
        body.close()
