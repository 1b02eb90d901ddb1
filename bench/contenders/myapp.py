"""myapp.sessions as production.ini ships it, and with all that costs: idle timeout, sweeper,
shield, joining and a second kind of session.

Variants: `tm` runs each request in a transaction that touches no database; in `joined` the view
uses the database within it, so that the session is saved there.
"""

from __future__ import annotations

import configparser
import secrets
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember
from sqlalchemy import select

from bench.contenders import pyramid_app
from bench.contenders.pyramid_app import View, make_router, session_views, text
from bench.works import COUNTER, KEY, WORKS, contents
from bench.wsgi import CONFLICT, Application, Visitor, WsgiProgram
from myapp.database import create_database_engine
from myapp.sessions import SessionSecurityPolicy, get_manager
from myapp.sessions.core.token import new_handle
from myapp.sessions.sql.model import metadata, table

Execute = Callable[..., Any]

INI = Path(__file__).resolve().parent.parent.parent / "production.ini"
IDLE_TIMEOUT = "30m"
TEN_MINUTES = 600_000
USERS = count(1)
"""One after the other signs in: a site has many, and one alone would always be over the limit."""


class Myapp(WsgiProgram):
    """An application that includes myapp.sessions."""

    works = tuple(WORKS)

    def make_app(self) -> Application:
        # An engine of the measurement's own, for what it does behind the application's back.
        self._engine = create_database_engine(self.url, isolation_level="AUTOCOMMIT")
        metadata.create_all(self._engine)
        self._engine.dispose()
        views = session_views(sign_in, sign_out) | {
            "write": write,
            "two": two,
            "first-two": first_two,
        }
        if self.variant == "joined":
            views = {name: joining(view) for name, view in views.items()}
        configure = partial(self._configure, transactions=bool(self.variant))
        return make_router(views, configure, **shipped_settings(self.url))

    def _configure(self, config: Configurator, transactions: bool) -> None:
        if transactions:
            config.include("myapp.models")
        config.include("myapp.sessions")
        config.add_session("admin_session")
        config.set_security_policy(SessionSecurityPolicy())
        self._manager = get_manager(config.registry)

    def fill(self, rows: int) -> None:
        self.new_session()
        with self._engine.connect() as connection:
            (row,) = connection.execute(table.select().limit(1)).mappings().all()
            copies = [
                {**row, "digest": secrets.token_bytes(32), "handle": new_handle(_now())}
                for _ in range(rows)
            ]
            for start in range(0, rows, 1000):
                connection.execute(table.insert(), copies[start : start + 1000])
        self._engine.dispose()

    # A session's use is written down once a minute.

    def make_due(self, cookies: list[str]) -> None:
        handles = [self._handle(cookie) for cookie in cookies]
        with self._engine.connect() as connection:
            chosen = table.update().where(table.c.handle.in_(handles))
            connection.execute(chosen.values(seen_at=_now() - TEN_MINUTES))

    def watch(self, around: Callable[[Execute], Execute]) -> None:
        """Let the statements of the connections that are open pass through a function."""
        store: Any = self._manager.store
        for connection in store._pool._idle:
            connection.cursor = Watched(connection.cursor, around)

    def check_touches(self) -> None:
        visitor = Visitor(self.app, self.new_session())
        self.make_due([visitor.cookie])
        before = self._row(visitor.cookie).seen_at
        visitor.get("/read")
        if self._row(visitor.cookie).seen_at == before:
            raise AssertionError("a read that was due did not write")

    # Somebody else changes another key, after this request has read the session.

    def change_meanwhile(self, request: Request) -> None:
        """What a rival does; its time is not the work's."""
        began = time.perf_counter_ns()
        with self._manager.session(request.session.token) as session:
            session["theme"] = "light" if session["theme"] == "dark" else "dark"
        self.hidden += time.perf_counter_ns() - began

    def check_conflicts(self) -> None:
        cookie = self.new_session()
        environs = self.environs("conflicts", 20)
        for environ in environs:
            environ["HTTP_COOKIE"] = cookie
        self.call(environs)
        stored = self._stored(Visitor(self.app, cookie))
        if (stored[COUNTER], stored["theme"]) != (20, "light"):
            raise AssertionError(f"a change was lost: {stored}")

    def _handle(self, cookie: str) -> str:
        token = cookie.partition("=")[2]
        session = self._manager.load(token)
        if session is None:
            raise AssertionError("the session is gone")
        return session.handle

    def _row(self, cookie: str) -> Any:
        handle = self._handle(cookie)
        with self._engine.connect() as connection:
            return connection.execute(table.select().where(table.c.handle == handle)).one()


class Watched:
    """A driver's cursor, of which each statement passes through a function."""

    def __init__(self, cursor: Any, around: Callable[[Execute], Execute]) -> None:
        self._cursor, self.execute = cursor, around(cursor.execute)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def shipped_settings(url: str) -> dict[str, Any]:
    """The settings of production.ini, and besides what costs something when it is on."""
    ini = configparser.RawConfigParser()
    ini.read(INI)
    shipped = {
        name: value
        for name, value in ini.items("app:main")
        if name.startswith(("session.", "retry."))
    }
    return shipped | {
        "sqlalchemy.url": url,
        "session.idle_timeout": IDLE_TIMEOUT,
        "admin_session.idle_timeout": IDLE_TIMEOUT,
        "admin_session.cookie_name": "__Host-admin_session_k3v9q7xw",
    }


def joining(view: View) -> View:
    """The same view in a request whose transaction uses the database."""

    def joined(request: Request) -> Response:
        request.dbsession.execute(select(1))
        return view(request)

    return joined


def write(request: Request) -> Response:
    """One more in the counter, while now and then somebody else changes something."""
    if CONFLICT in request.environ:
        len(request.session)
        request.environ[CONFLICT].change_meanwhile(request)
    return pyramid_app.write(request)


def two(request: Request) -> Response:
    """One key of each of two sessions."""
    return text(request.session[KEY] + request.admin_session[KEY])


def first_two(request: Request) -> Response:
    """Fill both."""
    request.session.update(contents())
    request.admin_session.update(contents())
    return text("stored")


def sign_in(request: Request) -> None:
    """As a view would."""
    remember(request, next(USERS))


def sign_out(request: Request) -> None:
    """As a view would."""
    forget(request)


def _now() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    Myapp.main()
