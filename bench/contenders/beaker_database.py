"""Beaker's middleware with ext:database, around an application in Pyramid."""

from __future__ import annotations

import json
from typing import Any

from beaker.middleware import SessionMiddleware
from pyramid.request import Request
from pyramid.response import Response

from bench.contenders.pyramid_app import Views, make_router, text
from bench.contenders.rows import copy_row
from bench.works import COUNTER, KEY, contents
from bench.wsgi import PLAIN, USER, Application, WsgiProgram

KEY_IN_ENVIRON = "beaker.session"


class BeakerDatabase(WsgiProgram):
    """Sessions in a table, saved where a view says so."""

    # A new id leaves the row of the old one as it was.
    voids = ("sign-out",)

    def make_app(self) -> Application:
        options = {
            "session.type": "ext:database",
            "session.url": self.url,
            "session.data_serializer": "json",
            "session.secure": True,
            "session.httponly": True,
        }
        # It keeps one engine for each URL in its classes, which a second application shares.
        app: Application = SessionMiddleware(make_router(VIEWS), options)
        return app

    def fill(self, rows: int) -> None:
        self.new_session()
        copy_row(self.url, "beaker_cache", rows, unique="namespace", left_out=("id",))


def session_of(request: Request) -> Any:
    """Beaker's session of this request."""
    return request.environ[KEY_IN_ENVIRON]


def read(request: Request) -> Response:
    return text(session_of(request).get(KEY, ""))


def write(request: Request) -> Response:
    session = session_of(request)
    session[COUNTER] += 1
    session.save()
    return text(str(session[COUNTER]))


def nested(request: Request) -> Response:
    session = session_of(request)
    session["cart"]["lines"][0]["amount"] += 1
    session.save()
    return text("changed")


def first(request: Request) -> Response:
    session = session_of(request)
    session.update(contents())
    session.save()
    return text("stored")


def show(request: Request) -> Response:
    return text(json.dumps(dict(session_of(request))))


def sign_in(request: Request) -> Response:
    session = session_of(request)
    session.regenerate_id()
    session["user"] = USER
    session.save()
    return text("in")


def sign_out(request: Request) -> Response:
    session = session_of(request)
    session.delete()
    session.save()
    return text("out")


VIEWS: Views = {
    "plain": lambda request: text(PLAIN),
    "read": read,
    "write": write,
    "nested": nested,
    "first": first,
    "show": show,
    "sign-in": sign_in,
    "sign-out": sign_out,
}

if __name__ == "__main__":
    BeakerDatabase.main()
