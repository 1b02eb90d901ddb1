"""What becomes of a request's sessions once its response is known.

Cookies and headers say what the store did, never what was intended (S7).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial

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
from myapp.sessions.web.headers import add_vary, write_headers
from myapp.sessions.web.revocations import carry_out_revocations
from myapp.sessions.web.scope import RequestTransaction, Scope, SessionUnavailable, publish

log = logging.getLogger(__name__)

Done = list[tuple[State, Saved]]


def finish(request: Request, response: Response, scope: Scope) -> Response:
    """Save each session, and then say so in the response.

    If a save fails, the response is an error, with the cookies of the sessions that were saved.
    """
    done: Done = []
    failed: Exception | None = None
    looked_at = False
    try:
        for state in scope.states.values():
            loaded = state.loaded
            if loaded is None:
                continue
            looked_at, saved = True, NOTHING_SAVED
            if scope.transaction is not None or not is_at_rest(state):
                saved = _save(request, response, scope, state)
            # Nearly every request stops here: it only read, and nobody is signed in.
            if saved is not NOTHING_SAVED or (loaded.row and loaded.row.user_id):
                done.append((state, saved))
        if scope.revoked and not will_be_retried(request):
            carry_out_revocations(request, scope, failed=response.status >= "5")
    except Exception as error:
        failed = error
    _close(scope, failed=failed is not None)
    if failed is not None:
        _log_failure(failed, scope, done)
        response = _answer(request, failed, scope)
    if looked_at:
        add_vary(response)
    for state, saved in done:
        write_headers(request, response, state, saved)
        if saved.events or saved.signed_in:
            follow_up(state.kind, saved, partial(publish, request))
    return response


def _save(request: Request, response: Response, scope: Scope, state: State) -> Saved:
    """Save a session that is not saved yet, by the outcome of the request (S6)."""
    if "retry.attempt" in request.environ and will_be_retried(request):
        return NOTHING_SAVED
    if scope.transaction is not None:
        return _save_after(scope.transaction, request, response, state)
    # By the first digit, so that WebOb need not parse the status line.
    if response.status >= "5":
        return save_only_end(state)
    return _save_now(state)


def _save_now(state: State) -> Saved:
    saved = save(state)
    if saved is not NOTHING_SAVED:
        settle(state, saved)
    return saved


def _save_after(
    transaction: RequestTransaction, request: Request, response: Response, state: State
) -> Saved:
    """What was saved within the request's transaction, and what is still to be saved now."""
    joined = transaction.saved.get(state.kind.name)
    committed = transaction.committed
    if joined is not None and not committed and _was_committed(state.kind, joined):
        # The commit succeeded, and only its answer was lost.
        committed = True
        settle(state, joined)
    before = joined if joined is not None and committed else NOTHING_SAVED
    if before.was_dropped:
        # It would be dropped again, and told again; or saved after all, if the clock had leapt.
        return before
    # If a transaction was aborted that wrote something, who signs in may not exist any more.
    sign_in = state.intent.sign_in
    if sign_in is not None and not committed and transaction.wrote is not False:
        dropped = ChangeDropped(manager=state.kind.name, user_id=sign_in.user_id)
        return before.then(save_only_end(state)).then(Saved(events=(dropped,)))
    if response.status >= "5" and not committed:
        return before.then(save_only_end(state))
    return before.then(_save_now(state))


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
    """After an exception that nobody renders, nothing is saved, except that sessions end (S6)."""
    if scope.closed:
        return
    if not will_be_retried(request):
        for state in scope.states.values():
            _try_to_end(partial(_end, request, state))
        _try_to_end(partial(carry_out_revocations, request, scope, failed=True))
    _close(scope)


def _end(request: Request, state: State) -> None:
    saved = save_only_end(state)
    follow_up(state.kind, saved, partial(publish, request))


def _try_to_end(end: Callable[[], None]) -> None:
    """End something; if that fails, the others are still tried."""
    try:
        end()
    except StoreUnavailable as error:
        log.info("a session was not ended, because its request failed as well: %s", error)
    except SessionError:
        log.exception("a session was not ended, because its request failed as well")


def _close(scope: Scope, *, failed: bool = False) -> None:
    """From here on, nothing is saved or loaded again."""
    scope.closed = True
    all_looked_at = True
    for state in scope.states.values():
        state.closed, state.failed = True, failed
        if state.loaded is not None:
            state.source = None
        else:
            all_looked_at = False
    if all_looked_at:
        # Otherwise only the garbage collector could break the cycle of request and sessions.
        scope.request = None


def will_be_retried(request: Request) -> bool:
    """Whether pyramid_retry is going to throw this attempt away (S11)."""
    attempt = request.environ.get("retry.attempt")
    if attempt is None or attempt + 1 == request.environ.get("retry.attempts"):
        return False
    error = getattr(request, "exception", None) or sys.exc_info()[1]
    return error is not None and bool(is_error_retryable(request, error))


def rendered(request: Request, error: Exception) -> Response:
    """The exception view's response; without such a view, an HTTP exception is the response."""
    if isinstance(error, StoreUnavailable):
        error = SessionUnavailable(error)
    try:
        return request.invoke_exception_view((type(error), error, error.__traceback__))
    except HTTPNotFound:
        pass
    except (SessionUnavailable, StoreUnavailable) as another:
        # The error page itself used the session, which is unavailable.
        log.info("an error page was not rendered: %s", another)
    except SessionError as another:
        log.warning("an error page was not rendered: %s", another)
    if isinstance(error, HTTPException):
        return error
    raise error


def _log_failure(error: Exception, scope: Scope, done: Done) -> None:
    """Say what was committed and what was not (S7)."""
    saved = [state.kind.name for state, saved in done if saved is not NOTHING_SAVED]
    committed = scope.transaction is not None and scope.transaction.committed
    is_told = isinstance(error, StoreUnavailable)
    log.log(
        # The store logs when an outage begins and ends (L8).
        logging.INFO if is_told and not saved and not committed else logging.ERROR,
        "a session was not saved: %s; saved before: %s; the request's transaction: %s",
        error,
        ", ".join(saved) or "none",
        "committed" if committed else "none, or not committed",
        exc_info=None if is_told else error,
    )


def _answer(request: Request, error: Exception, scope: Scope) -> Response:
    """The response to a save that failed; in a subrequest without tweens, an exception."""
    if scope.in_tween:
        return rendered(request, error)
    raise SessionUnavailable(error) if isinstance(error, StoreUnavailable) else error
