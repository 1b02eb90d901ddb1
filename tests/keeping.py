"""A page for tests of the whole application that need one which keeps something in its session.

By `pyramid.includes = tests.keeping`: the application itself may have no such page, since each of
its features can be taken out. Forms are not checked here.
"""

from __future__ import annotations

from html import escape

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

FORM = "<form method='post'><input name='key'><input name='value'><button>Keep</button></form>"


def includeme(config: Configurator) -> None:
    """One address: to keep a value, and to show them all."""
    config.add_route("kept", "/kept")
    config.add_view(keep, route_name="kept", request_method="POST")
    config.add_view(show, route_name="kept", request_method="GET")


def keep(request: Request) -> Response:
    """Keep a value under a key; count how many times that was done."""
    request.session[request.POST["key"]] = request.POST["value"]
    request.session["times"] = request.session.get("times", 0) + 1
    return Response(status=303, location="/kept")


def show(request: Request) -> Response:
    """What is kept."""
    shown = escape(str(dict(request.session)))
    return Response(f"<main>{shown}</main>{FORM}")
