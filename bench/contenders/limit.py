"""LIMIT: the code that one would write by hand in a view, and nothing else.

The cookie by WebOb, SHA-256, one prepared SELECT by primary key on a connection that the process
keeps, JSON; a change adds one UPDATE in autocommit. It has no expiry, no versions, no merging, no
limits and no second try: what a complete session costs is measured against it.

Variants: `msgspec` stores MessagePack in place of JSON; `tm` runs each request in a transaction
that touches no database; in `joined` the view uses the database within it, and saves there.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from bench.contenders.drivers import Driver, connect
from bench.contenders.pyramid_app import make_router, text
from bench.works import COUNTER, KEY, contents
from bench.wsgi import PLAIN, Application, WsgiProgram

COOKIE = "session"
ADMIN_COOKIE = "admin_session"


class Limit(WsgiProgram):
    """Hand-written code on the driver's own connection."""

    # It has no touches and no conflicts: the plain read and write are what those works are
    # measured against.
    works = (*WsgiProgram.works, "two", "touches", "conflicts")

    def make_app(self) -> Application:
        driver = connect(self.url)
        driver.create_table()
        self._driver = driver
        views = HandWritten(driver, packed=self.variant == "msgspec")
        joined = self.variant == "joined"

        def joining(view: Callable[[Request], Response]) -> Callable[[Request], Response]:
            def within(request: Request) -> Response:
                views.begin(request)
                return view(request)

            return within if joined else view

        def configure(config: Configurator) -> None:
            if self.variant in ("tm", "joined"):
                config.include("myapp.models")

        paths = {
            "plain": views.plain,
            "read": views.read,
            "write": views.write_joined if joined else views.write,
            "nested": views.nested,
            "two": views.two,
            "first": views.first,
            "first-two": views.first_two,
            "show": views.show,
            "sign-in": views.sign_in,
            "sign-out": views.sign_out,
        }
        settings = {"sqlalchemy.url": self.url}
        return make_router({n: joining(v) for n, v in paths.items()}, configure, **settings)

    def fill(self, rows: int) -> None:
        driver = connect(self.url)
        packed = self.variant == "msgspec"
        data = msgspec.msgpack.encode(contents()) if packed else json.dumps(contents()).encode()
        for _ in range(rows):
            driver.insert(secrets.token_bytes(32), data)
        driver.close()

    def watch(self, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Let each statement pass through a function."""
        self._driver.execute = around(self._driver.execute)

    def make_due(self, cookies: list[str]) -> None:
        """Nothing is ever due."""

    def check_touches(self) -> None:
        """There are none."""

    def check_conflicts(self) -> None:
        """There are none: the last one wins."""

    def run(self, work: str, count: int) -> int:
        plain = {"touches": "read", "conflicts": "write"}
        return super().run(plain.get(work, work), count)


class HandWritten:
    """The views."""

    def __init__(self, driver: Driver, *, packed: bool) -> None:
        self._driver = driver
        self._select, self._update = driver.select, driver.update
        self._loads: Callable[[bytes], dict[str, Any]] = json.loads
        self._dumps: Callable[[dict[str, Any]], bytes] = _json_bytes
        if packed:
            self._loads, self._dumps = msgspec.msgpack.decode, msgspec.msgpack.encode

    def plain(self, request: Request) -> Response:
        return text(PLAIN)

    def read(self, request: Request) -> Response:
        token = request.cookies.get(COOKIE)
        if token is None:
            return text("")
        data = self._select(hashlib.sha256(token.encode()).digest())
        return text("" if data is None else self._loads(data)[KEY])

    def write(self, request: Request) -> Response:
        digest = hashlib.sha256(request.cookies[COOKIE].encode()).digest()
        values = self._loads(self._select(digest))
        values[COUNTER] = count = values[COUNTER] + 1
        self._update(digest, self._dumps(values))
        return text(str(count))

    def nested(self, request: Request) -> Response:
        digest = hashlib.sha256(request.cookies[COOKIE].encode()).digest()
        values = self._loads(self._select(digest))
        values["cart"]["lines"][0]["amount"] += 1
        self._update(digest, self._dumps(values))
        return text("changed")

    def two(self, request: Request) -> Response:
        cookies = request.cookies
        one = self._select(hashlib.sha256(cookies[COOKIE].encode()).digest())
        other = self._select(hashlib.sha256(cookies[ADMIN_COOKIE].encode()).digest())
        return text(self._loads(one)[KEY] + self._loads(other)[KEY])

    def first(self, request: Request) -> Response:
        return self._storing(text("stored"), COOKIE)

    def first_two(self, request: Request) -> Response:
        return self._storing(self._storing(text("stored"), COOKIE), ADMIN_COOKIE)

    def show(self, request: Request) -> Response:
        token = request.cookies.get(COOKIE, "")
        data = self._select(hashlib.sha256(token.encode()).digest())
        return text("{}" if data is None else json.dumps(self._loads(data)))

    def sign_in(self, request: Request) -> Response:
        old = hashlib.sha256(request.cookies[COOKIE].encode()).digest()
        values = self._loads(self._select(old))
        values["user"] = "user-1"
        token = secrets.token_urlsafe(32)
        new = hashlib.sha256(token.encode()).digest()
        self._driver.replace(old, new, self._dumps(values))
        return _with_cookie(text("in"), COOKIE, token)

    def sign_out(self, request: Request) -> Response:
        self._driver.delete(hashlib.sha256(request.cookies[COOKIE].encode()).digest())
        response = text("out")
        response.delete_cookie(COOKIE)
        return response

    def begin(self, request: Request) -> None:
        """Use the database within the request's transaction, as any view may."""
        from sqlalchemy import select

        request.dbsession.execute(select(1))

    def write_joined(self, request: Request) -> Response:
        """The same change by the transaction's own connection, committed with all the rest."""
        from zope.sqlalchemy import mark_changed

        digest = hashlib.sha256(request.cookies[COOKIE].encode()).digest()
        values = self._loads(self._select(digest))
        values[COUNTER] = count = values[COUNTER] + 1
        raw = request.dbsession.connection().connection.dbapi_connection
        self._driver.update_on(raw, digest, self._dumps(values))
        mark_changed(request.dbsession)
        return text(str(count))

    def _storing(self, response: Response, cookie: str) -> Response:
        token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).digest()
        self._driver.insert(digest, self._dumps(contents()))
        return _with_cookie(response, cookie, token)


def _with_cookie(response: Response, name: str, token: str) -> Response:
    response.set_cookie(name, token, max_age=604_800, secure=True, httponly=True, samesite="lax")
    return response


def _json_bytes(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode()


if __name__ == "__main__":
    Limit.main()
