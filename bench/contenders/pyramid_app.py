"""What the contenders in Pyramid share: the routes, and views upon any `request.session`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from bench.works import COUNTER, KEY, contents
from bench.wsgi import PLAIN, Application

View = Callable[[Request], Response]
Views = dict[str, View]


def make_router(
    views: Views, configure: Callable[[Configurator], None] = lambda config: None, **settings: Any
) -> Application:
    """A Pyramid application with a route for each view, by its name.

    It has a property of the request, as nearly every application has. For the first one Pyramid
    makes a class at each request, which is then nothing that a kind of session would add.
    """
    with Configurator(settings=settings) as config:
        config.add_request_method(lambda request: None, "property", reify=True)
        configure(config)
        for name, view in views.items():
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name)
    router: Application = config.make_wsgi_app()
    return router


def text(answer: str) -> Response:
    """A response of plain text."""
    return Response(answer, content_type="text/plain", charset="utf-8")


def session_views(sign_in: Callable[[Request], None], sign_out: Callable[[Request], None]) -> Views:
    """Views that use nothing but Pyramid's ISession; signing in and out is each one's own way."""

    def signed_in(request: Request) -> Response:
        sign_in(request)
        return text("in")

    def signed_out(request: Request) -> Response:
        sign_out(request)
        return text("out")

    return {
        "plain": lambda request: text(PLAIN),
        "read": read,
        "write": write,
        "nested": nested,
        "first": first,
        "show": show,
        "sign-in": signed_in,
        "sign-out": signed_out,
    }


def read(request: Request) -> Response:
    """The value of one key."""
    return text(request.session.get(KEY, ""))


def write(request: Request) -> Response:
    """One more in the counter."""
    session = request.session
    session[COUNTER] = count = session[COUNTER] + 1
    return text(str(count))


def nested(request: Request) -> Response:
    """One more of something within a list within a dictionary."""
    session = request.session
    session["cart"]["lines"][0]["amount"] += 1
    # Pyramid's interface asks for it, and where it isn't needed it costs nothing.
    session.changed()
    return text("changed")


def first(request: Request) -> Response:
    """Put all in that a session holds."""
    request.session.update(contents())
    return text("stored")


def show(request: Request) -> Response:
    """All that is in it."""
    return text(json.dumps(dict(request.session)))
