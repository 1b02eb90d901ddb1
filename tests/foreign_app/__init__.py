"""Somebody else's Pyramid application, to which sessions came by a single line.

It has no pyramid_tm, no models and no templates, and must never learn anything else of myapp.
"""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.csrf import get_csrf_token
from pyramid.request import Request


def main(global_config: dict[str, str], **settings: Any) -> Any:
    """The WSGI application."""
    with Configurator(settings=settings) as config:
        config.include("myapp.sessions")
        for view in (plain, put, show, say, hear, token, guarded, leave):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__, renderer="json")
        config.add_view(
            guarded, route_name="guarded", request_method="POST", renderer="json", require_csrf=True
        )
    return config.make_wsgi_app()


def plain(request: Request) -> str:
    """A page without a session."""
    return "plain"


def put(request: Request) -> str:
    """Store what the address says, in a list within the session."""
    request.session.setdefault("words", []).append(request.params["word"])
    return "stored"


def show(request: Request) -> dict[str, Any]:
    """What is in the session."""
    return dict(request.session)


def say(request: Request) -> str:
    """Leave a message."""
    request.session.flash(request.params["word"])
    return "said"


def hear(request: Request) -> list[Any]:
    """Take all messages."""
    messages: list[Any] = request.session.pop_flash()
    return messages


def token(request: Request) -> str:
    """What a form would hold."""
    found: str = get_csrf_token(request)
    return found


def guarded(request: Request) -> str:
    """What needs that token."""
    return "done"


def leave(request: Request) -> str:
    """End the session."""
    request.session.invalidate()
    return "gone"
