"""Saves sessions within the request's transaction, where pyramid_tm runs one.

The outcome of the transaction decides (S6). Where a SQLAlchemy session that takes part in it
reaches the store's database, the save is its last statement before the commit; what can't be
saved there the tween of the factory saves afterwards, when the transaction holds no lock any more
(L9). Without pyramid_tm nothing here has an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import zope.sqlalchemy
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import mark_error_retryable
from sqlalchemy import URL, Connection, Executable
from sqlalchemy.exc import DBAPIError, UnboundExecutionError
from sqlalchemy.orm import Session as DatabaseSession
from zope.sqlalchemy.datamanager import _SESSION_STATE, STATUS_CHANGED, SessionDataManager

from myapp.database import is_lost_race
from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.session import Session
from myapp.sessions.sql.errors import translated
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.sql.writer import SqlWriter
from myapp.sessions.web.client import client_of
from myapp.sessions.web.factory import (
    Handler,
    RequestTransaction,
    Scope,
    SessionUnavailable,
    is_within_another,
    scope_of,
    will_be_retried,
)

TWEEN: Final = "myapp.sessions.web.transaction.join_tween_factory"

_DISCREET: Final = "myapp.sessions.discreet_engine"


def join_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """The tween right under pyramid_tm's: the last that the transaction lets do something."""

    def join_tween(request: Request) -> Response:
        if "tm.active" not in request.environ or is_within_another(request):
            return handler(request)
        try:
            response = handler(request)
        except Exception:
            _note(request)
            raise
        scope = _note(request)
        if scope is not None:
            transaction = request.tm.get()
            transaction.addBeforeCommitHook(_save_within, (request, scope, transaction))
            transaction.addAfterCommitHook(_note_commit, (scope,))
        return response

    return join_tween


def _note(request: Request) -> Scope | None:
    """Write down, while that can still be told, whether the transaction has written anything."""
    scope = scope_of(request)
    if scope is None or scope.transaction is not None:
        return None
    wrote = any(_has_written(each) for each in _database_sessions(request.tm.get()))
    scope.transaction = RequestTransaction(wrote=wrote)
    return scope


def _note_commit(succeeded: bool, scope: Scope) -> None:
    if scope.transaction is not None:
        scope.transaction.committed = succeeded


def _save_within(request: Request, scope: Scope, transaction: Any) -> None:
    """The hook before the commit. If a save fails, nothing is committed."""
    if scope.transaction is None or will_be_retried(request):
        return
    try:
        # What the application has still to send fails as its own error, as it would at the commit.
        for database_session in _database_sessions(transaction):
            database_session.flush()
    except BaseException:
        request.tm.abort()
        raise
    try:
        for name, (manager, session) in scope.sessions.items():
            writer = _writer(manager, session, transaction)
            if writer is not None:
                client = partial(client_of, request.environ, manager.settings.record_client)
                outcome = manager.save(session, writer=writer, client=client, touch=False)
                if writer.used:
                    scope.transaction.outcomes[name] = outcome
    except BaseException as error:
        # An exception here leaves the transaction open, with its locks, for whoever comes next.
        request.tm.abort()
        scope.transaction.outcomes.clear()
        if isinstance(error, DBAPIError):
            raise _meaning(error) from error
        if isinstance(error, StoreUnavailable):
            raise SessionUnavailable(error) from error
        raise


def _meaning(error: DBAPIError) -> Exception:
    """What a database's error is to the application. A lost race is its to retry (S11)."""
    trouble = translated(error.orig or error)
    meaning = SessionUnavailable(trouble) if isinstance(trouble, StoreUnavailable) else trouble
    if error.orig is not None and is_lost_race(error.orig):
        mark_error_retryable(meaning)
    return meaning


def _writer(manager: SessionManager, session: Session, transaction: Any) -> JoinedWriter | None:
    """A writer within the transaction, if there is one that reaches the manager's store."""
    if session.loaded is None or not manager.settings.join:
        return None
    if not isinstance(manager.store, SqlStore):
        return None
    for database_session in _database_sessions(transaction):
        if _place(_url_of(database_session)) == _place(manager.store.engine.url):
            connect = partial(_joined, database_session, transaction)
            return JoinedWriter(connect, manager.store.engine.dialect.name)
    return None


def _joined(database_session: DatabaseSession, transaction: Any) -> Connection:
    """The connection of a transaction that is going to be committed.

    zope.sqlalchemy commits only what was marked, and what goes through the connection is not.
    """
    manager = next(r for r in transaction._resources if _session_of(r) is database_session)
    zope.sqlalchemy.mark_changed(database_session, manager.transaction_manager)
    return _discreet(database_session.connection())


def _discreet(connection: Connection) -> Connection:
    """The same connection, in the same transaction, whose log and errors show no parameters.

    The application's engine may be told to log them, and ours are what a session holds (R6).
    """
    engine = connection.info.get(_DISCREET)
    if engine is None:
        # Making it takes longer than a statement, so the driver's connection bears it from then on.
        engine = connection.info[_DISCREET] = connection.engine.execution_options()
        engine.hide_parameters = True
    # It begins nothing and commits nothing. After an error SQLAlchemy may roll it back, and so may
    # we: whoever calls aborts the transaction then.
    return Connection(engine, connection=connection.connection, _allow_autobegin=False)


class JoinedWriter(SqlWriter):
    """Writes on the connection of the request's transaction, which it asks for only to write."""

    def __init__(self, connect: Callable[[], Connection], dialect: str) -> None:
        super().__init__(dialect)
        self._connect = connect
        self.used = False

    def execute(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """As SqlWriter has it."""
        self.used = True
        met: int = self._connect().execute(statement, values).rowcount
        return met


def _database_sessions(transaction: Any) -> list[DatabaseSession]:
    """The SQLAlchemy sessions in a transaction, whatever an application calls them."""
    sessions = [_session_of(resource) for resource in transaction._resources]
    return [session for session in sessions if session is not None]


def _session_of(resource: object) -> DatabaseSession | None:
    return resource.session if isinstance(resource, SessionDataManager) else None


def _has_written(session: DatabaseSession) -> bool:
    """Whether a session has written, or is going to at its commit.

    Statements past the ORM that were not marked with `mark_changed` are not seen here; they are
    not committed either.
    """
    pending = bool(session.new or session.dirty or session.deleted)
    return pending or _SESSION_STATE.get(session) == STATUS_CHANGED


def _url_of(session: DatabaseSession) -> URL | None:
    try:
        return session.get_bind().engine.url
    except UnboundExecutionError:
        return None  # bound to several, by model


def _place(url: URL | None) -> tuple[object, ...] | None:
    """What makes two URLs lead to one database with the same rights; None equals nothing."""
    if url is None:
        return None
    query = tuple(sorted(url.normalized_query.items()))
    return url.get_backend_name(), url.username, url.host, url.port, query, url.database
