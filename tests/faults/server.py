"""One server process of the checker: sessions and a little application data in one database.

Every answer tells what the request saw before it did anything; a header tells the events. What a
merge took over is known only when it is saved, so the answer to one tells what was saved, too.
"""

from __future__ import annotations

import argparse
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.httpexceptions import status_map
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from harness.waiting import wait_until
from myapp.database import create_database_engine
from myapp.sessions import SessionUnavailable, get_manager
from myapp.sessions.core.errors import LockTimeout, SessionError, SessionLost, StoreUnavailable
from myapp.sessions.core.events import SessionEnded, SessionEvent
from myapp.sessions.core.lifetime import SECOND, SteadyClock
from myapp.sessions.core.sweep import Sweeper
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.web.tween import TWEEN
from tests.faults.health import tell_health
from tests.faults.interrupts import Interrupter, Wsgi
from tests.faults.leaps import CHANCE, leaping_clock
from tests.faults.workers import serve
from tests.outcomes.app import FailingAtCommit, LostRace
from tests.sessions.forking import FORKS, is_parked

IDLE_TIMEOUT: Final = 5  # seconds
TOUCH_INTERVAL: Final = 1
SWEEP_INTERVAL: Final = 300  # milliseconds, less than the settings can say
MAX_PER_USER: Final = 2
LOCK_TIMEOUT: Final = 0.5
"""A killed process leaves its lock to nobody for 30 seconds: who wants it then goes on without."""
HELD: Final = 0.005  # seconds
LIMITED: Final = "Limited"
"""The event of a session that was ended since its user had too many."""
MERGED: Final = "Merged"
"""That of one that was merged into another."""
NOT_TOUCHED: Final = "NotTouched"
"""Told like an event: the request's session was to be touched, and was not."""
RACED: Final = "Raced"
"""Likewise: the request's own transaction lost a race, and so the request its last attempt."""
COOKIE: Final = "session"
OTHER_COOKIE: Final = "admin_session"
EVENTS: Final = "X-Events"
LEAPT: Final = "X-Leapt"
"""The header that says whether the clock told this request a wrong time."""
SWEEPERS_CHANCE: Final = 0.25
"""How often the sweeper's clock is wrong, where clocks leap."""

_COUNT: Final = "count "
_ANSWER: Final = "faults.answer"
_MERGE: Final = "faults.merge"
_EVENTS: Final = "faults.events"
_LONGEST_CART: Final = 4
_LOGS: Final = ("core.saving", "web.transaction")
_LOGGED: Final = {"was not touched": NOT_TOUCHED, "lost a race": RACED}
_BY_REASON: Final = {"limit": LIMITED, "merged": MERGED}


class Base(DeclarativeBase):
    """The base of the application's models."""


class Note(Base):
    """Written by an operation in the transaction of its request; the id is the operation's."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class User(Base):
    """Somebody who signed up, again with the number of the operation."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Told(Exception):
    """Raised by the view, since it was told to end with this status."""

    def __init__(self, status: int) -> None:
        self.status = status


class Act:
    """One operation: the request, its session and the answer as it grows."""

    def __init__(self, request: Request) -> None:
        self.request, self.session = request, request.session
        self.told: dict[str, str] = dict(request.params)
        self.number = int(self.told["number"])
        self.counter = counter_of(self.lineage)
        self.answer = seen(self.session, self.counter)

    @property
    def lineage(self) -> str:
        """The session: one that is new is named by the operation that began it."""
        return str(self.number) if self.session.new else self.told["lineage"]

    @property
    def stamp(self) -> str:
        """What is written: the session that it was meant for and the operation, hence but once."""
        return f"{self.lineage}.{self.number}"

    def write(self, key: str, value: Any) -> None:
        """Write a key, and tell."""
        self.session[key] = value
        self.answer["wrote"] = {key: value}


def counter_of(lineage: int | str) -> str:
    """The key of a session's counter, which only those who hold its lock change.

    Each has one of its own: merged into another it takes it along, and the other keeps its own.
    """
    return f"{_COUNT}{lineage}"


def seen(session: Any, counter: str) -> dict[str, Any]:
    """What a session holds before anything is done to it."""
    return {
        "live": not session.new,
        "user": session.user_id,
        "handle": None if session.new else session.handle,
        **held(session, counter),
    }


def held(session: Any, counter: str) -> dict[str, Any]:
    """What a session holds now; the counter is its own, or of one that was merged into it."""
    return {
        "values": stamped(session),
        "count": session.get(counter, 0),
        "flash": session.peek_flash(),
    }


def stamped(session: Any) -> dict[str, Any]:
    """A copy of the values that tell who wrote them, which is all but the counters."""
    return {key: value[:] for key, value in session.items() if not key.startswith(_COUNT)}


def _set(act: Act) -> None:
    act.write(act.told["key"], act.stamp)


def _delete(act: Act) -> None:
    act.session.pop(act.told["key"], None)


def _clear(act: Act) -> None:
    counted = act.session.get(act.counter)
    act.session.clear()
    if counted is not None:
        # As it was seen, which is not to write it.
        act.session[act.counter] = counted


def _nest(act: Act) -> None:
    cart = act.session.setdefault("cart", [])
    cart.append(act.stamp)
    del cart[:-_LONGEST_CART]
    act.answer["wrote"] = {"cart": cart[:]}


def _push(act: Act) -> None:
    act.session.flash(act.stamp)
    act.answer["pushed"] = act.stamp


def _pop(act: Act) -> None:
    act.answer["popped"] = act.session.pop_flash()


def _count(act: Act) -> None:
    try:
        with act.session.lock(LOCK_TIMEOUT) as session:
            counted = session.get(act.counter, 0) + 1
            # So that whoever may get in meanwhile has the time to.
            time.sleep(HELD)
            session[act.counter] = counted
    except (LockTimeout, SessionLost):
        return
    act.answer["counted"] = counted


def _merge(act: Act) -> None:
    try:
        act.answer["merged"] = act.session.merge(act.told["other"])
    except (SessionUnavailable, StoreUnavailable):
        raise
    except SessionError:
        return  # it is another user's
    act.answer["called"] = held(act.session, counter_of(act.told["other_lineage"]))
    act.request.environ[_MERGE] = act
    if act.number % 2:
        # So that others save the other session, or end it, between our look at it and our save.
        time.sleep(HELD)


def _renew(act: Act) -> None:
    act.session.renew()


def _sign_in(act: Act) -> None:
    act.session.sign_in(act.told["user"])


def _sign_up(act: Act) -> None:
    act.request.dbsession.add(User(id=act.number))
    act.request.dbsession.flush()
    act.session.sign_in(act.told["user"])


def _sign_out(act: Act) -> None:
    act.session.sign_out()


def _replace(act: Act) -> None:
    act.session.invalidate()
    _set(act)


def _revoke(act: Act) -> None:
    act.answer["ended"] = get_manager(act.request).end(act.told["handle"])


def _revoke_all(act: Act) -> None:
    act.answer["ended"] = get_manager(act.request).end_all(act.told["user"])


def _cross(act: Act) -> None:
    act.answer = seen(act.request.admin_session, act.counter)


def _show(act: Act) -> None: ...


ACTIONS: Final[dict[str, Callable[[Act], None]]] = {
    "show": _show,
    "set": _set,
    "delete": _delete,
    "clear": _clear,
    "nest": _nest,
    "push": _push,
    "pop": _pop,
    "count": _count,
    "merge": _merge,
    "renew": _renew,
    "sign_in": _sign_in,
    "sign_up": _sign_up,
    "sign_out": _sign_out,
    "replace": _replace,
    "revoke": _revoke,
    "revoke_all": _revoke_all,
    "cross": _cross,
}


def _view(request: Request) -> Response:
    if request.params["database"] == "read_first":
        request.dbsession.scalars(select(Note).limit(1)).first()
        # So that others save the session between the transaction's snapshot and our look at it.
        time.sleep(HELD)
    act = Act(request)
    request.environ.pop(_MERGE, None)  # of an attempt before
    _use_database(act)
    ACTIONS[act.told["action"]](act)
    # For the exception views too.
    request.environ[_ANSWER] = act.answer
    ending = act.told["ending"]
    if ending.isdecimal():
        raise Told(int(ending))
    if ending == "commit_fails":
        taken = IntegrityError("INSERT", None, Exception("duplicate"))
        request.tm.get().join(FailingAtCommit(taken))
    if ending == "retried" and request.environ["retry.attempt"] == 0:
        request.tm.get().join(FailingAtCommit(LostRace()))
    return Response(json_body=act.answer)


def _use_database(act: Act) -> None:
    database = act.told["database"]
    if database == "read":
        act.request.dbsession.scalars(select(Note).limit(1)).first()
    elif database == "write":
        act.request.dbsession.add(Note(id=act.number))
        act.request.dbsession.flush()


def _on_told(error: Told, request: Request) -> Response:
    return _answered(request, status_map[error.status].code)


def _on_taken(error: IntegrityError, request: Request) -> Response:
    return _answered(request, 409)


def _answered(request: Request, status: int) -> Response:
    return Response(json_body=request.environ[_ANSWER], status=status)


def telling_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """The tween over that of the sessions, which tells the client what the subscribers heard."""

    def telling_tween(request: Request) -> Response:
        events: list[str] = []
        request.environ[_EVENTS] = _told.events = events
        response = handler(request)
        response.headers[EVENTS] = ",".join(events)
        _tell_what_was_saved(request, response)
        return response

    return telling_tween


def _tell_what_was_saved(request: Request, response: Response) -> None:
    """Add to the answer to a merge what the session holds since it was saved.

    The answer is the view's own, unless something failed.
    """
    act: Act | None = request.environ.get(_MERGE)
    if act is not None and response.content_type == "application/json":
        counter = counter_of(act.told["other_lineage"])
        response.json_body = act.answer | {"saved": held(act.session, counter)}


def _note_event(event: SessionEvent) -> None:
    if event.request is not None:
        reason = event.reason if isinstance(event, SessionEnded) else ""
        name = _BY_REASON.get(reason, type(event).__name__)
        event.request.environ[_EVENTS].append(name)


class _Told(threading.local):
    """What this thread's request has to tell."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.leapt = False


_told = _Told()


def _tell_of_leap() -> None:
    _told.leapt = True


def telling_of_leaps(app: Wsgi) -> Wsgi:
    """Each answer says whether a clock was wrong, whatever became of the request."""

    def tell(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _told.leapt = False

        def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
            leapt = "yes" if _told.leapt else "no"
            return start_response(status, [*headers, (LEAPT, leapt)], error)

        return app(environ, start)

    return tell


class _Listener(logging.Handler):
    """Tells the client what only the log knows."""

    def emit(self, record: logging.LogRecord) -> None:
        for words, event in _LOGGED.items():
            if words in record.getMessage():
                _told.events.append(event)


class _Stamped(logging.Formatter):
    """Each line begins with the time by which the clients tell when something happened."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{time.monotonic():.4f} {super().format(record)}"


@contextmanager
def listening_to_the_log() -> Iterator[None]:
    """Meanwhile, answers tell of touches that were not made (S9), and of races that were lost."""
    listener = _Listener()
    logs = [logging.getLogger(f"myapp.sessions.{name}") for name in _LOGS]
    for log in logs:
        log.addHandler(listener)
        log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for log in logs:
            log.removeHandler(listener)
            log.setLevel(logging.NOTSET)


def _log() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Stamped("%(process)d %(levelname)s %(name)s %(message)s"))
    # Of the logger above, which tells more, too.
    handler.setLevel(logging.WARNING)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def make_app(
    url: str, skew: int, isolation: str | None = None, *, leaps: bool = False
) -> tuple[Router, Sweeper]:
    """The application, whose clock goes wrong by `skew` milliseconds, and what sweeps for it.

    `isolation` is the level of the application's transactions, if not the database's own. With
    `leaps` the clocks are wrong by much, now and then.
    """
    options: dict[str, Any] = {"isolation_level": isolation} if isolation else {}
    # An interrupt may cost SQLAlchemy's pool a place, which is not what is tried here.
    engine = create_database_engine(url, max_overflow=-1, **options)
    settings = {
        "session.url": url,
        "session.idle_timeout": f"{IDLE_TIMEOUT}s",
        "session.touch_interval": f"{TOUCH_INTERVAL}s",
        "session.cookie_name": COOKIE,
        "session.max_per_user": f"{MAX_PER_USER}",
        "session.sweep_interval": "off",
        "admin_session.cookie_name": OTHER_COOKIE,
        "admin_session.sweep_interval": "off",
        "tm.manager_hook": "pyramid_tm.explicit_manager",
        "tm.annotate_user": "false",
    }
    with Configurator(settings=settings) as config:
        config.include("pyramid_tm")
        config.include("pyramid_retry")
        config.include("myapp.sessions")
        config.add_session("admin_session")
        # By the name under which this module runs: imported once more, it would be there twice, and
        # the log's handler would know nothing of the tween's request.
        config.add_tween(f"{__name__}.telling_tween_factory", over=TWEEN)
        config.add_subscriber(_note_event, SessionEvent)
        config.add_request_method(_dbsession_of(engine), "dbsession", reify=True)
        config.add_route("act", "/")
        config.add_view(_view, route_name="act")
        config.add_exception_view(_on_told, context=Told)
        config.add_exception_view(_on_taken, context=IntegrityError)
    app = config.make_wsgi_app()
    return app, _skew(app.registry, skew, leaps=leaps)


def _skew(registry: Registry, skew: int, *, leaps: bool) -> Sweeper:
    right = SteadyClock()
    requests = leaping_clock(CHANCE, _tell_of_leap) if leaps else right
    # As in the package, the sweeper has a clock of its own.
    sweepers = leaping_clock(SWEEPERS_CHANCE, lambda: None) if leaps else right
    for name in (COOKIE, OTHER_COOKIE):
        get_manager(registry, name).kind.clock = lambda: requests() + skew
    # The package's own sweeper keeps the right time; a machine that is wrong is so in everything.
    return Sweeper(get_manager(registry).store, lambda: sweepers() + skew, SWEEP_INTERVAL)


def _dbsession_of(engine: Engine) -> Callable[[Request], Session]:
    def dbsession(request: Request) -> Session:
        session = Session(engine)
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    return dbsession


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--skew", type=int, default=0, help="milliseconds")
    parser.add_argument("--isolation", help="of the application's transactions")
    parser.add_argument("--fork", choices=sorted(FORKS), help="serve with forked workers, too")
    parser.add_argument("--interrupts", action="store_true", help="interrupt requests by chance")
    parser.add_argument("--leaps", action="store_true", help="let clocks leap by chance")
    parser.add_argument("--health", type=Path, help="the folder where to be asked for it")
    given = parser.parse_args()
    if abs(given.skew) > SECOND:
        parser.error("a clock is wrong by at most one second here")
    _log()
    app, sweeper = make_app(given.url, given.skew, given.isolation, leaps=given.leaps)
    store: Any = get_manager(app.registry).store
    if given.fork:
        _use_before_fork(store, sweeper)

    def in_each_process() -> Wsgi:
        sweeper.ensure_running()
        if given.health:
            tell_health(store, given.health)
        interrupter = Interrupter(app)
        if given.interrupts:
            interrupter.start()
        return telling_of_leaps(interrupter)

    with listening_to_the_log():
        serve(given.port, in_each_process, given.fork)


def _use_before_fork(store: SqlStore, sweeper: Sweeper) -> None:
    """There are a connection and a thread that no child may take for its own."""
    sweeper.ensure_running()
    try:
        store.load([bytes(32)])
    except StoreUnavailable:
        return  # the database is being restarted
    # In C a fork copies what another thread holds just then, which is Python's business.
    wait_until(lambda: is_parked(sweeper.thread), "the sweeper's pause")


if __name__ == "__main__":
    main()
