"""Saves sessions within the request's transaction, if pyramid_tm runs one.

The outcome of the transaction decides (S6). If a SQLAlchemy session in it uses the store's
database, the save is its last statement before the commit. What can't be saved there is saved
afterwards by the other tween, when the transaction holds no locks any more (L9). Without
pyramid_tm, nothing here has an effect.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import zope.sqlalchemy
from pyramid.interfaces import ITweens
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import mark_error_retryable
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Session as DatabaseSession
from transaction._transaction import Status
from transaction.interfaces import NoTransaction
from zope.sqlalchemy.datamanager import _SESSION_STATE, STATUS_READONLY, SessionDataManager

from myapp.database import is_lost_race
from myapp.sessions.core.errors import OldSnapshot, StoreUnavailable
from myapp.sessions.core.kind import Kind
from myapp.sessions.core.saved import NOTHING_SAVED, settle
from myapp.sessions.core.saving import is_at_rest, save
from myapp.sessions.core.state import State
from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.sql.joined import CannotJoin, JoinedWriter, same_place
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.sql.written import has_written, watch
from myapp.sessions.web.finish import will_be_retried
from myapp.sessions.web.scope import SCOPE, RequestTransaction, Scope, SessionUnavailable
from myapp.sessions.web.tween import Handler

log = logging.getLogger(__name__)

TWEEN: Final = "myapp.sessions.web.transaction.join_tween_factory"
TM_TWEEN: Final = "pyramid_tm.tm_tween_factory"


def join_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """The tween right under pyramid_tm's, the last one that runs within the transaction."""
    if TM_TWEEN not in [name for name, _ in _tweens(registry)]:
        return handler
    watch()

    def join_tween(request: Request) -> Response:
        scope: Scope = request.__dict__.get(SCOPE) or Scope()
        if "tm.active" not in request.environ or scope.within_another:
            return handler(request)
        try:
            response = handler(request)
        except Exception:
            _note_writes(request, scope)
            raise
        _join(request, scope)
        return response

    return join_tween


def _tweens(registry: Registry) -> Any:
    tweens = registry.getUtility(ITweens)
    return tweens.explicit or tweens.implicit()


def _transaction_of(request: Request) -> Any:
    """The request's transaction, unless it was ended by its view or can't be committed any more."""
    try:
        transaction = request.tm.get()
    except NoTransaction:
        return None
    return None if transaction.status is Status.COMMITFAILED else transaction


def _join(request: Request, scope: Scope) -> None:
    """Take part in the transaction if there may be something to save."""
    transaction = _transaction_of(request)
    if transaction is not None and (scope.states or scope.revoked) and scope.transaction is None:
        scope.transaction = RequestTransaction(wrote=_has_written(scope, transaction))
        transaction.join(SessionsDataManager(request, scope, scope.transaction))


def _note_writes(request: Request, scope: Scope) -> None:
    """The transaction will be aborted: note what can't be found out afterwards."""
    if scope.states and scope.transaction is None:
        transaction = _transaction_of(request)
        wrote = None if transaction is None else _has_written(scope, transaction)
        scope.transaction = RequestTransaction(wrote=wrote)


class SessionsDataManager:
    """Takes part in the request's transaction, and saves its sessions as the last to write.

    The package `transaction` calls all these methods by name. If one fails, the commit fails, and
    all participants roll back.
    """

    transaction_manager = None

    def __init__(self, request: Request, scope: Scope, record: RequestTransaction) -> None:
        self._request, self._scope, self._record = request, scope, record

    def tpc_begin(self, transaction: Any) -> None:
        """The commit begins: hooks may have written since."""
        self._record.wrote = _has_written(self._scope, transaction)

    def commit(self, transaction: Any) -> None:
        """Save, after all others have announced what they want to write."""
        if will_be_retried(self._request):
            return
        try:
            # Always in the same order, so that two requests never deadlock.
            for _, state in sorted(self._scope.states.items()):
                self._save(state, transaction)
            for kind, row in sorted(self._scope.revoked, key=_digest_of):
                self._revoke(kind, row, transaction)
        except Exception as error:
            self._record.saved.clear()
            raise self._meaning(error) from error

    def tpc_vote(self, transaction: Any) -> None:
        """There is nothing left to do."""

    def tpc_finish(self, transaction: Any) -> None:
        """It is committed: the sessions continue from what was written."""
        self._record.committed = True
        for name, saved in self._record.saved.items():
            settle(self._scope.states[name], saved)

    def tpc_abort(self, transaction: Any) -> None:
        """The commit failed. The error page may use the sessions again."""
        for state in self._scope.states.values():
            state.closed = False

    def abort(self, transaction: Any) -> None:
        """Nothing was saved."""

    def sortKey(self) -> str:
        """Right before the databases, which write their own data when the commit begins."""
        return "sqlalchemy.sessions"

    def savepoint(self) -> SessionsDataManager:
        """Sessions are saved at the end, so they need no savepoint."""
        return self

    def rollback(self) -> None:
        """Roll back to a savepoint, which does not concern sessions."""

    def _save(self, state: State, transaction: Any) -> None:
        """Save one session within the transaction if possible; otherwise it is saved afterwards."""
        if state.loaded is None or state.saved_apart or is_at_rest(state):
            return
        for writer in _writers(state.kind, transaction):
            try:
                row = state.loaded.row if state.intent.end is not None else None
                if row is not None and not writer.sees_the_present(row.digest):
                    continue
                saved = save(state, writer)
            except (CannotJoin, OldSnapshot):
                continue
            if saved is not NOTHING_SAVED:
                self._record.saved[state.kind.name] = saved
                # A change after this would be lost; one in a list is found when all is over.
                state.closed = True
            return

    def _revoke(self, kind: Kind, row: StoredSession, transaction: Any) -> None:
        """End a session that a view has ended by its handle."""
        for writer in _writers(kind, transaction):
            try:
                if writer.end([Ending(row.digest, "revoked")]):
                    self._record.ended.add(row.digest)
                return
            except CannotJoin:
                continue

    def _meaning(self, error: Exception) -> Exception:
        """What a failed save means to the application, which can retry a lost race (S11)."""
        meaning = SessionUnavailable(error) if isinstance(error, StoreUnavailable) else error
        if error.__cause__ is not None and is_lost_race(error.__cause__):
            mark_error_retryable(meaning)
            log.warning("a session lost a race within its request's transaction: %s", error)
        else:
            log.log(
                logging.INFO if isinstance(error, StoreUnavailable) else logging.ERROR,
                "a session was not saved: %s; its request's transaction: not committed",
                error,
            )
        return meaning


def _writers(kind: Kind, transaction: Any) -> Iterator[JoinedWriter]:
    """Writers within the transaction, for each part that may reach the kind's store."""
    store = kind.store
    if not kind.settings.join or not isinstance(store, SqlStore):
        return
    for resource in transaction._resources:
        if isinstance(resource, SessionDataManager) and _reaches(resource.session, store):
            # zope.sqlalchemy commits only what was marked; writes that bypass the ORM are not.
            mark = zope.sqlalchemy.mark_changed
            joined = partial(mark, resource.session, resource.transaction_manager)
            writer = JoinedWriter(resource.session.connection, joined, store)
            if store.on_join is not None:
                store.on_join(writer)
            yield writer


def _reaches(session: DatabaseSession | None, store: SqlStore) -> bool:
    """Whether a session that takes part writes to the store's database."""
    if session is None or _SESSION_STATE.get(session) == STATUS_READONLY:
        return False
    try:
        return same_place(session.get_bind().engine.url, store.engine.url)
    except UnboundExecutionError:
        return False  # bound to several, by model


def _has_written(scope: Scope, transaction: Any) -> bool | None:
    """Whether anything was written in a transaction; asked only where somebody signs in."""
    if all(state.intent.sign_in is None for state in scope.states.values()):
        return None
    return any(map(_has_part_written, transaction._resources))


def _has_part_written(resource: object) -> bool:
    """Whether a participant has written; what is no database takes part only if it has."""
    if isinstance(resource, SessionsDataManager):
        return False
    if not isinstance(resource, SessionDataManager):
        return True
    return resource.session is not None and has_written(resource.session)


def _digest_of(revoked: tuple[Kind, StoredSession]) -> bytes:
    return revoked[1].digest
