"""A page that counts, for tests; include it with `pyramid.includes = tests.sessions.page`."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request


def includeme(config: Configurator) -> None:
    """One address: to count by POST, and to look by GET."""
    config.add_route("counted", "/counted")
    config.add_view(count, route_name="counted", request_method="POST", renderer="json")
    config.add_view(look, route_name="counted", request_method="GET", renderer="json")


def count(request: Request) -> Any:
    """Count one more."""
    request.session["count"] = request.session.get("count", 0) + 1
    return request.session["count"]


def look(request: Request) -> Any:
    """The count so far."""
    return request.session.get("count", 0)
