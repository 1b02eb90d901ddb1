"""Sessions for Pyramid: the factory, the tween that saves, and the shield for the Cookie header.

A session is loaded at its first use and decided once, when the response is known. The tween lies
over pyramid_tm and the exception views, so that it knows what became of the transaction and can
still answer a failing save with an error page.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from msgspec.structs import replace
from pyramid.httpexceptions import HTTPException, HTTPNotFound, HTTPServiceUnavailable
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import is_error_retryable

from myapp.sessions.core.errors import SessionError, StoreUnavailable
from myapp.sessions.core.events import ChangeDropped, SessionEvent
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.saving import UNCHANGED, Outcome
from myapp.sessions.core.session import Loaded, Session
from myapp.sessions.core.store import SessionStore, is_ended, is_written
from myapp.sessions.core.sweep import Sweeper
from myapp.sessions.core.token import is_token
from myapp.sessions.web import cookie
from myapp.sessions.web.client import client_of
from myapp.sessions.web.headers import add_vary, write_headers

log = logging.getLogger(__name__)

Handler = Callable[[Request], Response]

TWEEN: Final = "myapp.sessions.web.factory.session_tween_factory"

_SCOPE: Final = "_session_scope"
_RESPONDED: Final = "_session_responded"
_WITHIN_TWEEN: Final = "_session_within_tween"
_WITHIN_ANOTHER: Final = "_session_within_another_transaction"


class SessionUnavailable(HTTPServiceUnavailable, SessionError):  # type: ignore[misc]  # Pyramid has no types
    """The session store does not answer; raised by whatever touches the session (L8)."""

    def __init__(self, error: StoreUnavailable) -> None:
        super().__init__("Sessions are not available at the moment. Please try again shortly.")
        self.headers["Retry-After"] = str(error.retry_after)


class Sessions:
    """The session managers of one application, by name; kept in its registry."""

    def __init__(self) -> None:
        self.managers: dict[str, SessionManager] = {}
        self.stores: dict[object, SessionStore] = {}
        self.sweepers: list[Sweeper] = []
        self.warned: set[str] = set()


@dataclass(slots=True)
class RequestTransaction:
    """What became of the request's transaction, where pyramid_tm runs one."""

    wrote: bool
    """Whether it had written anything before its commit or abort."""
    committed: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """Of the sessions that were saved within it; good only if it was committed."""


class Scope:
    """The sessions that one request has touched, each with its manager, and how far it is."""

    transaction: RequestTransaction | None = None
    in_tween = False
    closed = False

    def __init__(self) -> None:
        self.sessions: dict[str, tuple[SessionManager, Session]] = {}

    def close(self) -> None:
        """From here on nothing is loaded and nothing saved any more."""
        self.closed = True
        for _, session in self.sessions.values():
            session.close()


class SessionFactory:
    """Pyramid's ISessionFactory of one manager: called with a request, answers its session."""

    def __init__(self, manager: SessionManager) -> None:
        self.manager = manager

    def __call__(self, request: Request) -> Session:
        """The session of a request, the same each time; nothing is read until it is used."""
        scope = request.__dict__.get(_SCOPE) or _begin_scope(request)
        manager = self.manager
        known = scope.sessions.get(manager.name)
        if known is not None:
            return known[1]
        session = Session(RequestBacking(manager, request))
        if scope.closed:
            session.close()
        scope.sessions[manager.name] = manager, session
        return session


class RequestBacking:
    """What a session needs of its manager, for one request."""

    def __init__(self, manager: SessionManager, request: Request) -> None:
        self.manager, self._request = manager, request

    def close(self) -> None:
        """Let go of the request: else only the garbage collector could part it from its session."""
        self._request = None

    def open(self) -> Loaded:
        """What is stored for the tokens of the request's cookies."""
        manager = self.manager
        try:
            tokens = cookie.read(self._request.environ, manager.cookie.name)
            return manager.open(tokens, self._publish)
        except StoreUnavailable as error:
            raise SessionUnavailable(error) from error

    def look_up(self, token: str) -> Loaded:
        """What is stored for another token."""
        try:
            return self.manager.open((token,) if is_token(token) else (), self._publish)
        except StoreUnavailable as error:
            raise SessionUnavailable(error) from error

    @contextmanager
    def lock(self, session: Session, timeout: float) -> Iterator[None]:
        """Hold the session's lock."""
        try:
            with self.manager.lock(session, timeout):
                yield
        except StoreUnavailable as error:
            raise SessionUnavailable(error) from error

    def _publish(self, event: SessionEvent) -> None:
        publish(self._request, self.manager, [event])


def scope_of(request: Request) -> Scope | None:
    """The sessions that a request has touched, if it has."""
    scope: Scope | None = request.__dict__.get(_SCOPE)
    return scope


def _begin_scope(request: Request) -> Scope:
    known = request.__dict__
    scope = known[_SCOPE] = Scope()
    scope.closed = _RESPONDED in known
    # Without our tween, which is how a subrequest usually runs, this is the last moment; and
    # something over the tween may look at the session first, the debug toolbar for one.
    if not known.get(_WITHIN_TWEEN) and hasattr(request, "add_response_callback"):
        request.add_response_callback(_save_outside_tween)
    return scope


def _save_outside_tween(request: Request, response: Response) -> None:
    scope: Scope = request.__dict__[_SCOPE]
    if not scope.in_tween and not scope.closed:
        _finish(request, response, scope)


def session_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """The tween that saves what a request did to its sessions."""

    def session_tween(request: Request) -> Response:
        known = request.__dict__
        known[_WITHIN_TWEEN] = True
        if "tm.active" in request.environ:
            # A transaction of somebody further out, a test's say, whose end we shall not see.
            known[_WITHIN_ANOTHER] = True
        try:
            response = handler(request)
        except SessionUnavailable as error:
            # Raised where no exception view reaches: in a tween below, say.
            _end_only(request)
            return _rendered(request, error)
        except Exception:
            _end_only(request)
            raise
        scope = known.get(_SCOPE)
        if scope is None:
            known[_RESPONDED] = True
            return response
        if scope.closed:
            return response
        scope.in_tween = True
        return _finish(request, response, scope)

    return session_tween


def is_within_another(request: Request) -> bool:
    """Whether the request's transaction is not its own, but was there when it came."""
    return _WITHIN_ANOTHER in request.__dict__


def _finish(request: Request, response: Response, scope: Scope) -> Response:
    """Save each session, then, when that is done, say so in the response.

    If a save fails, the response is an error's; it still bears the cookies of those saved before.
    """
    looked_at = False
    to_tell: list[tuple[SessionManager, Session, Outcome]] = []
    try:
        for manager, session in scope.sessions.values():
            if session.loaded is None:
                continue
            looked_at, outcome = True, UNCHANGED
            if not manager.is_at_rest(session):
                outcome = _save(request, response, scope, manager, session)
            if outcome is not UNCHANGED or session.user_id is not None:
                to_tell.append((manager, session, outcome))
    except Exception as error:
        scope.close()
        _log_failure(error, scope, to_tell)
        response = _answer(request, error, scope)
    scope.close()
    if looked_at:
        add_vary(response)
    for manager, session, outcome in to_tell:
        if outcome.cookie or outcome.events or session.user_id is not None:
            _tell(request, response, manager, session, outcome)
    return response


def _tell(
    request: Request,
    response: Response,
    manager: SessionManager,
    session: Session,
    outcome: Outcome,
) -> None:
    """Say what was done, in the response and to subscribers."""
    write_headers(request, response, manager, session, outcome)
    publish(request, manager, outcome.events)
    if session.signing_in and outcome.row is not None and session.user_id is not None:
        publish(request, manager, manager.limit_sessions(session.user_id))


def _log_failure(
    error: Exception, scope: Scope, done: Sequence[tuple[SessionManager, Session, Outcome]]
) -> None:
    """Say what was committed and what was not (S7)."""
    saved = [manager.name for manager, _, outcome in done if outcome is not UNCHANGED]
    committed = scope.transaction is not None and scope.transaction.committed
    log.error(
        "a session was not saved: %s; saved before: %s; the request's transaction: %s",
        error,
        ", ".join(saved) or "none",
        "committed" if committed else "none, or not committed",
        exc_info=None if isinstance(error, StoreUnavailable) else error,
    )


def _answer(request: Request, error: Exception, scope: Scope) -> Response:
    """The response to a save that failed; in a subrequest without tweens, an exception."""
    if isinstance(error, StoreUnavailable):
        error = SessionUnavailable(error)
    if not scope.in_tween:
        raise error
    return _rendered(request, error)


def _save(
    request: Request, response: Response, scope: Scope, manager: SessionManager, session: Session
) -> Outcome:
    """What was saved within the request's transaction, or else is saved now (S6)."""
    if will_be_retried(request):
        return UNCHANGED
    committed = drop = False
    transaction = scope.transaction
    if transaction is not None:
        committed = transaction.committed
        joined = transaction.outcomes.get(manager.name)
        if joined is not None and (committed or _was_committed(manager, joined)):
            return joined
        # If one was aborted that wrote something, a user who signed in may not exist any more.
        drop = session.signing_in and transaction.wrote and not committed
    environ = request.environ
    outcome = manager.save(
        session,
        client=partial(client_of, environ, manager.settings.record_client),
        touch=not environ.get("HTTP_SEC_PURPOSE", "").startswith("prefetch"),
        # By the first digit, for which WebOb need not take the line apart.
        only_end=drop or (response.status >= "5" and not committed),
    )
    if drop:
        dropped = ChangeDropped(manager=manager.name, user_id=session.user_id)
        return replace(outcome, events=(*outcome.events, dropped))
    return outcome


def _was_committed(manager: SessionManager, joined: Outcome) -> bool:
    """After a commit that failed: whether it was made all the same, and only its answer lost."""
    if joined.row is not None:
        found = manager.store.load([joined.row.digest])
        return any(is_written(joined.row, row) for row in found)
    if not joined.endings:
        return False
    rows = {row.digest: row for row in manager.store.load([each.digest for each in joined.endings])}
    return any(is_ended(ending, rows.get(ending.digest)) for ending in joined.endings)


def _end_only(request: Request) -> None:
    """After an exception that nobody renders nothing is saved, but an ending is (S6)."""
    request.__dict__[_WITHIN_TWEEN] = False
    scope = scope_of(request)
    if scope is None or scope.closed:
        return
    scope.close()
    if will_be_retried(request):
        return
    for manager, session in scope.sessions.values():
        if session.ending is not None:
            try:
                publish(request, manager, manager.save(session, only_end=True).events)
            except SessionError:
                log.exception("a session was not ended, since its request failed as well")


def will_be_retried(request: Request) -> bool:
    """Whether pyramid_retry is going to throw this attempt away (S11)."""
    attempt = request.environ.get("retry.attempt")
    if attempt is None or attempt + 1 == request.environ.get("retry.attempts"):
        return False
    error = getattr(request, "exception", None) or sys.exc_info()[1]
    return error is not None and bool(is_error_retryable(request, error))


def _rendered(request: Request, error: Exception) -> Response:
    """The exception view's response; without one, an HTTP exception is its own."""
    try:
        return request.invoke_exception_view((type(error), error, error.__traceback__))
    except HTTPNotFound:
        pass
    except SessionUnavailable as unavailable:
        # The error page itself looks at the session, to show flash messages say.
        return unavailable
    if isinstance(error, HTTPException):
        return error
    raise error


def publish(request: Request, manager: SessionManager, events: Sequence[SessionEvent]) -> None:
    """Tell the subscribers what happened during a request."""
    for event in events:
        event.request = request
        manager.publish(event)


def shielding(policy: Any, sweepers: Sequence[Sweeper]) -> Any:
    """An execution policy that goes before another: the first to see each request."""
    if getattr(policy, "shields", False):
        return policy

    def shielding_policy(environ: dict[str, Any], router: Any) -> Any:
        if "HTTP_COOKIE" in environ:
            cookie.shield(environ)
        for sweeper in sweepers:
            if not sweeper.running:
                sweeper.ensure_running()
        return policy(environ, router)

    shielding_policy.shields = True  # type: ignore[attr-defined]  # a function has no such name
    return shielding_policy
