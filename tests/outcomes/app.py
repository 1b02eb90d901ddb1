"""An application with pyramid_tm whose one view ends as it is told to, and data to look at."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound, status_map
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from transaction.interfaces import TransientError

from harness.wire import Proxy
from myapp.database import create_database_engine
from myapp.sessions import SessionManager, get_manager
from myapp.sessions.core.events import SessionEvent
from myapp.sessions.sql.model import metadata
from tests.sessions.app import HTTPS, stop_sweepers

REFUSED = "the-database-refuses-this"


class Base(DeclarativeBase):
    """The base of the application's one model."""


class Note(Base):
    """What the application keeps for itself."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)


class ViewError(Exception):
    """Raised by the view; an exception view answers with the status."""

    def __init__(self, status: int) -> None:
        self.status = status


class Unhandled(Exception):
    """Raised by the view, and nobody's business."""


class LostRace(TransientError):  # type: ignore[misc]  # transaction has no types
    """What a database says when a commit should be tried again."""


class FailingAtCommit:
    """A resource of the transaction that refuses the commit at the vote."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.transaction_manager = None

    def abort(self, transaction: object) -> None: ...
    def tpc_begin(self, transaction: object) -> None: ...
    def commit(self, transaction: object) -> None: ...
    def tpc_finish(self, transaction: object) -> None: ...
    def tpc_abort(self, transaction: object) -> None: ...

    def tpc_vote(self, transaction: object) -> None:
        raise self.error

    def sortKey(self) -> str:
        return "!first"  # before the database commits


class OutcomeApp:
    """The application on one database, with another one elsewhere."""

    def __init__(
        self,
        url: str,
        elsewhere: str,
        *,
        veto: str = "unset",
        isolation: str | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.proxy = proxy
        self.engine = _engine(url, isolation)
        self.elsewhere = _engine(elsewhere, None)
        metadata.create_all(self.engine)
        _add_trigger(self.engine)
        for engine in (self.engine, self.elsewhere):
            Base.metadata.create_all(engine)
        self.ids = itertools.count(1)
        self.attempts = 0
        self.before_response: Callable[[], None] = lambda: None
        self.events: list[SessionEvent] = []
        settings = {"session.url": url, "tm.manager_hook": "pyramid_tm.explicit_manager"}
        settings["tm.annotate_user"] = "false"
        if veto == "default":
            settings["tm.commit_veto"] = "pyramid_tm.default_commit_veto"
        with Configurator(settings=settings) as config:
            config.include("pyramid_tm")
            config.include("pyramid_retry")
            config.include("myapp.sessions")
            config.add_subscriber(self.events.append, SessionEvent)
            config.add_request_method(self._dbsession, "dbsession", reify=True)
            config.add_route("view", "/view")
            config.add_view(self._view, route_name="view")
            config.add_exception_view(_on_view_error, context=ViewError)
            config.add_exception_view(_on_integrity_error, context=IntegrityError)
            config.add_exception_view(_on_type_error, context=TypeError)
            config.add_exception_view(_on_operational_error, context=OperationalError)
        self.router = config.make_wsgi_app()
        self.manager: SessionManager = get_manager(self.router.registry)

    def close(self) -> None:
        """Give back all connections."""
        stop_sweepers(self.router)
        self.manager.store.close()
        self.engine.dispose()
        self.elsewhere.dispose()

    def start(self) -> str:
        """The token of a stored session to begin with."""
        with self.manager.session() as session:
            session["before"] = 1
        return session.token

    def request(self, token: str, **options: str) -> tuple[Response | None, int]:
        """One request; the response, None for an exception that reached the server, and the id
        of the note that it was to write.
        """
        note = next(self.ids)
        request = Request.blank("/view", environ=HTTPS)
        request.headers["Cookie"] = f"session={token}"
        request.environ["test"] = options | {"note": note}
        try:
            return request.get_response(self.router), note
        except Unhandled:
            return None, note

    def has_note(self, note: int, dbsession: str) -> bool:
        """Whether the application's data were committed."""
        engine = self.elsewhere if dbsession == "elsewhere" else self.engine
        with Session(engine) as session:
            return session.get(Note, note) is not None

    def _dbsession(self, request: Request) -> Session:
        elsewhere = request.environ["test"]["dbsession"] == "elsewhere"
        session = Session(self.elsewhere if elsewhere else self.engine)
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def _view(self, request: Request) -> Response:
        told = request.environ["test"]
        _use_database(request, told["dbsession"], told["note"])
        if told["dbsession"] == "collided" and request.environ["retry.attempt"] == 0:
            self._save_meanwhile(request.headers["Cookie"].partition("=")[2])
        _use_session(request, told["action"], told["outcome"])
        self.attempts += 1
        if told["outcome"] in ("cut_before", "cut_after"):
            getattr(self.proxy, told["outcome"])("COMMIT")
        self.before_response()
        return _OUTCOMES[told["outcome"]](request)

    def _save_meanwhile(self, token: str) -> None:
        """Another request changes the session, which the transaction's snapshot does not show."""
        with self.manager.session(token) as session:
            session["theirs"] = 1


def _engine(url: str, isolation: str | None) -> Engine:
    options: dict[str, Any] = {"isolation_level": isolation} if isolation else {}
    engine = create_database_engine(url, statement_timeout=1000, **options)
    if _kind(engine) == "mariadb" and isolation == "SERIALIZABLE":
        event.listen(engine, "connect", _make_strict)
    return engine


def _make_strict(connection: Any, record: object) -> None:
    """As MariaDB is by itself from 11.6 on: a row that has changed since is refused."""
    with connection.cursor() as cursor:
        if cursor.execute("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
            cursor.execute("SET SESSION innodb_snapshot_isolation = ON")


def _add_trigger(engine: Engine) -> None:
    """Let the database refuse a session that holds a certain word: an error of its own."""
    with engine.begin() as connection:
        for when in ("INSERT", "UPDATE"):
            for statement in _TRIGGERS[_kind(engine)]:
                connection.exec_driver_sql(statement.format(when=when, word=REFUSED))


def _kind(engine: Engine) -> str:
    name = engine.dialect.name
    return "mariadb" if name == "mysql" else name


_TRIGGERS = {
    "sqlite": [
        "CREATE TRIGGER refuse_{when} BEFORE {when} ON sessions WHEN instr(NEW.data, '{word}')"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
        "CREATE TRIGGER refuse_{when} BEFORE {when} ON sessions FOR EACH ROW"
        " WHEN (position('{word}'::bytea in NEW.data) > 0) EXECUTE FUNCTION refuse()",
    ],
    "mariadb": [
        "CREATE TRIGGER refuse_{when} BEFORE {when} ON sessions FOR EACH ROW"
        " IF LOCATE('{word}', NEW.data) > 0"
        " THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF"
    ],
}


def _use_database(request: Request, dbsession: str, note: int) -> None:
    if dbsession in ("read", "collided"):
        request.dbsession.scalars(select(Note).limit(1)).first()
    elif dbsession != "unused":
        request.dbsession.add(Note(id=note))
        request.dbsession.flush()


def _use_session(request: Request, action: str, outcome: str) -> None:
    session = request.session
    if action == "ended":
        session.invalidate()
        return
    if action == "replaced":
        session.invalidate()
    box: list[Any] = [1]
    session["after"] = box
    if outcome == "unsavable":
        box.append({1, 2})
    if outcome == "refused":
        session["refused"] = REFUSED
    if action == "renewed":
        session.renew()
    elif action == "signed_in":
        session.sign_in("ann")


def _raise(error: Exception) -> Response:
    raise error


def _doom(request: Request) -> Response:
    request.tm.doom()
    return Response("doomed")


def _fail_commit(request: Request, error: Exception) -> Response:
    request.tm.get().join(FailingAtCommit(error))
    return Response("never seen")


def _fail_once(request: Request) -> Response:
    if request.environ["retry.attempt"] == 0:
        request.tm.get().join(FailingAtCommit(LostRace()))
    return Response("done")


def _returning(status: int, **headers: str) -> Callable[[Request], Response]:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return lambda request: Response(
        status=status, headerlist=[("Content-Type", "text/plain"), *named]
    )


_OUTCOMES: dict[str, Callable[[Request], Response]] = {
    "return_200": _returning(200),
    "return_302": _returning(302, Location="/"),
    "return_404": _returning(404),
    "return_503": _returning(503),
    "raise_302": lambda request: _raise(HTTPFound("/")),
    "raise_403": lambda request: _raise(HTTPForbidden()),
    "view_200": lambda request: _raise(ViewError(200)),
    "view_409": lambda request: _raise(ViewError(409)),
    "view_500": lambda request: _raise(ViewError(500)),
    "unhandled": lambda request: _raise(Unhandled()),
    "doomed": _doom,
    "x_tm": _returning(200, X_Tm="abort"),
    "integrity": lambda request: _fail_commit(
        request, IntegrityError("INSERT", None, Exception("duplicate"))
    ),
    "retried": _fail_once,
    "unsavable": _returning(200),
    "refused": _returning(200),
    "cut_before": _returning(200),
    "cut_after": _returning(200),
}


def _on_view_error(error: ViewError, request: Request) -> Any:
    return status_map[error.status]() if error.status != 200 else Response("sorry")


def _on_integrity_error(error: IntegrityError, request: Request) -> Response:
    return Response("taken", status=409)


def _on_operational_error(error: OperationalError, request: Request) -> Response:
    return Response("no answer", status=503)


def _on_type_error(error: TypeError, request: Request) -> Response:
    return Response("broken", status=500)
