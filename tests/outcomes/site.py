"""An application with pyramid_tm whose views are functions of the test.

The same application can be made without sessions: what it does then is what sessions must not
change.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.interfaces import ITweens
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from myapp.database import create_database_engine
from myapp.sessions import Session as WebSession
from myapp.sessions import SessionEvent, SessionManager, get_manager
from myapp.sessions.core.token import digest
from myapp.sessions.sql.model import metadata, table
from tests.outcomes.app import Base, Note
from tests.sessions.app import HTTPS, stop_sweepers

View = Callable[[Request], Any]

TM_TWEEN = "pyramid_tm.tm_tween_factory"

_VIEW = "test.view"
_ATTEMPTS = "test.attempts"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to: a response, or an error that reached the server."""

    response: Response | None
    error: Exception | None
    attempts: int

    @property
    def status(self) -> int | None:
        return self.response.status_code if self.response is not None else None

    @property
    def cookies(self) -> list[str]:
        """The Set-Cookie headers."""
        return self.response.headers.getall("Set-Cookie") if self.response is not None else []

    def token(self, default: str | None = None) -> str:
        """The token that was sent, else the one that the client has."""
        for header in self.cookies:
            return str(header.partition(";")[0].partition("=")[2])
        assert default is not None
        return default


@dataclass
class Resource:
    """A data manager of the application's own: it can act or fail in each step of a commit."""

    does: dict[str, Callable[[], None]] = field(default_factory=dict)
    sort_key: str = "!first"
    transaction_manager: Any = None

    def _step(self, name: str) -> None:
        self.does.get(name, lambda: None)()

    def abort(self, transaction: object) -> None: ...
    def tpc_abort(self, transaction: object) -> None: ...

    def tpc_begin(self, transaction: object) -> None:
        self._step("tpc_begin")

    def commit(self, transaction: object) -> None:
        self._step("commit")

    def tpc_vote(self, transaction: object) -> None:
        self._step("tpc_vote")

    def tpc_finish(self, transaction: object) -> None:
        self._step("tpc_finish")

    def sortKey(self) -> str:
        return self.sort_key


def failing(step: str, error: Exception) -> Resource:
    """A data manager that fails in one step of the commit."""

    def fail() -> None:
        raise error

    return Resource({step: fail})


class Site:
    """The application on one database; `call` makes a request whose view is a function."""

    def __init__(
        self,
        url: str,
        *,
        sessions: bool = True,
        retry: bool = True,
        catch_all: bool = False,
        initial_state: str = "active",
        twophase: bool = False,
        engine: dict[str, Any] | None = None,
        configure: Callable[[Configurator], None] = lambda config: None,
        **settings: str,
    ) -> None:
        self.url, self.sessions = url, sessions
        self.engine: Engine = create_database_engine(url, **(engine or {}))
        self._twophase, self._initial_state = twophase, initial_state
        self.ids = itertools.count(1000)
        self.events: list[SessionEvent] = []
        self.errors: list[Exception] = []
        """What reached the catch-all exception view."""
        self.in_error_view: Callable[[], None] = lambda: None
        self._other = create_database_engine(url, statement_timeout=1000)
        metadata.create_all(self._other)
        Base.metadata.create_all(self._other)
        given = {f"session.{name}": value for name, value in settings.items()}
        given |= {"session.url": url, "tm.manager_hook": "pyramid_tm.explicit_manager"}
        given["tm.annotate_user"] = "false"
        with Configurator(settings=given) as config:
            config.include("pyramid_tm")
            if retry:
                config.include("pyramid_retry")
            if sessions:
                config.include("myapp.sessions")
                config.add_subscriber(self.events.append, SessionEvent)
            config.add_request_method(self.new_dbsession, "dbsession", reify=True)
            config.add_route("view", "/")
            config.add_view(_view, route_name="view")
            if catch_all:
                config.add_exception_view(self._on_error, context=Exception)
            configure(config)
        self.router = config.make_wsgi_app()

    @property
    def manager(self) -> SessionManager:
        return get_manager(self.router.registry)

    def close(self) -> None:
        """Give back all connections."""
        if self.sessions:
            stop_sweepers(self.router)
            self.manager.store.close()
        self.engine.dispose()
        self._other.dispose()

    def start(self, user: str | None = None) -> str:
        """The token of a stored session to begin with."""
        with self.manager.session() as session:
            session["before"] = 1
            if user is not None:
                session.sign_in(user)
        return session.token

    def call(self, view: View, token: str | None = None, **cookies: str) -> Answer:
        """One request."""
        attempts: list[Request] = []
        environ = HTTPS | {_VIEW: view, _ATTEMPTS: attempts}
        request = Request.blank("/", environ=environ)
        named = ({"session": token} if token is not None else {}) | cookies
        if named:
            request.headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in named.items())
        try:
            return Answer(request.get_response(self.router), None, len(attempts))
        except Exception as error:
            return Answer(None, error, len(attempts))

    def new_dbsession(self, request: Request) -> Session:
        """A session of SQLAlchemy's that takes part in the request's transaction."""
        session = Session(self.engine, twophase=self._twophase)
        zope.sqlalchemy.register(
            session, initial_state=self._initial_state, transaction_manager=request.tm
        )
        return session

    def stored(self, token: str) -> WebSession | None:
        """The live session of a token, as it is in the database."""
        return self.manager.load(token)

    def kinds(self) -> list[str]:
        """The names of the events so far, each with its reason."""
        return [
            " ".join(filter(None, (type(event).__name__, getattr(event, "reason", None))))
            for event in self.events
        ]

    def has_note(self, note: int) -> bool:
        """Whether the application's data were committed."""
        with self._other.connect() as connection:
            found = connection.execute(select(Note.id).where(Note.id == note)).first()
        return found is not None

    def add_note(self, note: int) -> None:
        """Another connection writes and commits."""
        with self._other.begin() as connection:
            connection.execute(insert(Note).values(id=note))

    def assert_free(self, token: str | None = None) -> None:
        """Another connection can write notes and the session at once, and none is in use."""
        with self._other.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.execute(Note.__table__.delete())  # type: ignore[attr-defined]  # a Table
            if token is not None:
                row = select(table.c.digest).where(table.c.digest == digest("session", token))
                connection.execute(row.with_for_update()).first()
            connection.rollback()
        assert self.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of QueuePool

    def _on_error(self, error: Exception, request: Request) -> Response:
        self.errors.append(error)
        self.in_error_view()
        return Response("an error page", status=500)


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Site]:
    """A site that is closed in the end."""
    site = Site(url, **options)
    try:
        yield site
    finally:
        site.close()


def outer_tween(config: Configurator) -> str:
    """The name of the sessions' tween over that of pyramid_tm, whatever it is called today."""
    config.commit()
    names = [name for name, _ in config.registry.queryUtility(ITweens).implicit()]
    over = names[: names.index(TM_TWEEN)]
    (ours,) = [name for name in over if name.startswith("myapp.sessions")]
    return str(ours)


def attempt_of(request: Request) -> int:
    """0 for the first attempt."""
    return len(request.environ[_ATTEMPTS]) - 1


def our_errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The errors that the session package has logged."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("myapp.sessions") and record.levelno >= logging.ERROR
    ]


def _view(request: Request) -> Response:
    request.environ[_ATTEMPTS].append(request)
    answer = request.environ[_VIEW](request)
    return answer if isinstance(answer, Response) else Response("done")
