"""The session manager for views: what it ends is committed or rolled back with the request.

If it wrote at once, on its own connection, it would wait on SQLite for the request's transaction,
and its work would stay even if that is rolled back (L9).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from pyramid.request import Request

from myapp.sessions.core.kind import Kind
from myapp.sessions.core.manager import SessionManager, revoked
from myapp.sessions.core.store import StoredSession
from myapp.sessions.web.scope import SCOPE, Scope, publish


class RequestManager(SessionManager):
    """A manager whose endings are carried out with the response, within the transaction if it
    reaches the sessions' database. Until then its own lists know of them already, and `end` answers
    what can be told by now: a session that somebody signs in to meanwhile becomes another one.
    """

    def __init__(self, kind: Kind, scope: Scope) -> None:
        super().__init__(kind)
        self._scope = scope

    def _find(self, handle: str) -> StoredSession | None:
        row = super()._find(handle)
        return None if row is None or self._is_revoked(row) else row

    def _rows_of(self, user_id: str | int | UUID) -> Sequence[StoredSession]:
        return [row for row in super()._rows_of(user_id) if not self._is_revoked(row)]

    def _is_revoked(self, row: StoredSession) -> bool:
        return any(row.handle == revoked.handle for _, revoked in self._scope.revoked)

    def _revoke(self, row: StoredSession) -> bool:
        self._scope.revoked += ((self.kind, row),)
        return True


def manager_for(request: Request, manager: SessionManager) -> SessionManager:
    """The manager for a view: within a transaction of the request's own its endings wait."""
    scope: Scope | None = request.__dict__.get(SCOPE)
    waits = "tm.active" in request.environ and scope is not None and not scope.closed
    if scope is None or not waits or scope.within_another:
        return manager
    return RequestManager(manager.kind, scope)


def carry_out_revocations(request: Request, scope: Scope, *, failed: bool) -> None:
    """End what a view has ended by its handle, unless the transaction has done so; tell of it.

    If the request failed and its transaction was rolled back, no session ends: a password that was
    not changed after all signs nobody out.
    """
    committed = scope.transaction is not None and scope.transaction.committed
    if failed and not committed:
        return
    done = scope.transaction.ended if scope.transaction and committed else ()
    for kind, row in scope.revoked:
        if row.digest in done:
            publish(request, kind, revoked(kind, row))
        elif row.handle is not None:
            told = Kind(
                kind.settings, kind.store, kind.codec,
                clock=kind.clock, publish=partial(publish, request, kind),
            )  # fmt: skip
            SessionManager(told).end(row.handle)
