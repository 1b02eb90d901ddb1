"""What becomes of a request's sessions once its response is known.

Cookies and headers say what the store did, never what was intended (S7).
"""

from __future__ import annotations

import logging
import sys
from functools import partial

from msgspec.structs import replace
from pyramid.httpexceptions import HTTPException, HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import is_error_retryable

from myapp.sessions.core.errors import SessionError, StoreUnavailable
from myapp.sessions.core.events import ChangeDropped
from myapp.sessions.core.kind import Kind
from myapp.sessions.core.saved import NOTHING_SAVED, Saved, follow_up, settle
from myapp.sessions.core.saving import is_at_rest, save, save_only_end
from myapp.sessions.core.state import State
from myapp.sessions.core.store import is_ended, is_written
from myapp.sessions.web.client import client_of
from myapp.sessions.web.headers import add_vary, write_headers
from myapp.sessions.web.manager import carry_out_revocations
from myapp.sessions.web.scope import Scope, SessionUnavailable, publisher

log = logging.getLogger(__name__)

Done = list[tuple[State, Saved]]


def finish(request: Request, response: Response, scope: Scope) -> Response:
    """Save each session, then, when that is done, say so in the response.

    If a save fails, the response is an error's; it still bears the cookies of those saved before.
    """
    done: Done = []
    failed: Exception | None = None
    looked_at = False
    try:
        for state in scope.states.values():
            if state.loaded is not None:
                looked_at = True
                done.append((state, _save(request, response, scope, state)))
        if scope.revoked and not will_be_retried(request):
            carry_out_revocations(request, scope)
    except Exception as error:
        failed = error
    scope.close(failed=failed is not None)
    if failed is not None:
        _log_failure(failed, scope, done)
        response = _answer(request, failed, scope)
    if looked_at:
        add_vary(response)
    for state, saved in done:
        write_headers(request, response, state, saved)
        if saved is not NOTHING_SAVED:
            follow_up(state.kind, saved, publisher(request, state.kind))
    return response


def _save(request: Request, response: Response, scope: Scope, state: State) -> Saved:
    """What was saved within the request's transaction, and what is still to be saved now (S6)."""
    transaction = scope.transaction
    joined = transaction.saved.get(state.kind.name) if transaction is not None else None
    if (joined is None and is_at_rest(state)) or will_be_retried(request):
        return NOTHING_SAVED
    committed = transaction is not None and transaction.committed
    if joined is not None and not committed:
        # The commit failed; or it was made all the same, and only its answer was lost.
        committed = _was_committed(state.kind, joined)
        if committed:
            settle(state, joined)
    before = joined if joined is not None and committed else NOTHING_SAVED
    # If a transaction was aborted that wrote something, who signs in may not exist any more.
    aborted = transaction is not None and not committed and transaction.wrote is not False
    if aborted and state.intent.sign_in is not None:
        dropped = ChangeDropped(manager=state.kind.name, user_id=state.intent.sign_in.user_id)
        saved = save_only_end(state)
        saved = replace(saved, events=(*saved.events, dropped))
    # By the first digit, for which WebOb need not take the line apart.
    elif response.status >= "5" and not committed:
        saved = save_only_end(state)
    else:
        saved = save_for(request, state, touch=_is_wanted_now(request))
    settle(state, saved)
    return before.then(saved) if before is not NOTHING_SAVED else saved


def save_for(request: Request, state: State, *, touch: bool) -> Saved:
    """Save a session on its own connection, with what is recorded of the request's client."""
    client = partial(client_of, request.environ, state.kind.settings.record_client)
    return save(state, client=client, touch=touch)


def _is_wanted_now(request: Request) -> bool:
    """Whether somebody is there: a browser also fetches pages ahead of time (S9)."""
    return not request.environ.get("HTTP_SEC_PURPOSE", "").startswith("prefetch")


def _was_committed(kind: Kind, joined: Saved) -> bool:
    """After a commit that failed: whether what was saved within it is there."""
    row = joined.row
    if row is not None:
        return any(is_written(row, found) for found in kind.store.load([row.digest]))
    if not joined.endings:
        return False
    rows = {row.digest: row for row in kind.store.load([e.digest for e in joined.endings])}
    return any(is_ended(ending, rows.get(ending.digest)) for ending in joined.endings)


def end_only(request: Request, scope: Scope) -> None:
    """After an exception that nobody renders nothing is saved, but an ending is (S6)."""
    if scope.closed:
        return
    try:
        if not will_be_retried(request):
            for state in scope.states.values():
                saved = save_only_end(state)
                follow_up(state.kind, saved, publisher(request, state.kind))
            carry_out_revocations(request, scope)
    except SessionError:
        log.exception("a session was not ended, since its request failed as well")
    scope.close()


def will_be_retried(request: Request) -> bool:
    """Whether pyramid_retry is going to throw this attempt away (S11)."""
    attempt = request.environ.get("retry.attempt")
    if attempt is None or attempt + 1 == request.environ.get("retry.attempts"):
        return False
    error = getattr(request, "exception", None) or sys.exc_info()[1]
    return error is not None and bool(is_error_retryable(request, error))


def rendered(request: Request, error: Exception) -> Response:
    """The exception view's response; without one, an HTTP exception is its own."""
    if isinstance(error, StoreUnavailable):
        error = SessionUnavailable(error)
    try:
        return request.invoke_exception_view((type(error), error, error.__traceback__))
    except HTTPNotFound:
        pass
    except (SessionUnavailable, SessionError) as another:
        # The error page itself did something with the session that can't be had now.
        log.warning("an error page was not rendered: %s", another)
    if isinstance(error, HTTPException):
        return error
    raise error


def _log_failure(error: Exception, scope: Scope, done: Done) -> None:
    """Say what was committed and what was not (S7)."""
    saved = [state.kind.name for state, saved in done if saved is not NOTHING_SAVED]
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
    if scope.in_tween:
        return rendered(request, error)
    raise SessionUnavailable(error) if isinstance(error, StoreUnavailable) else error
