"""Sessions outside of requests: for scripts, for lists, and to end somebody's sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from myapp.sessions.core.codec import Codec, Content, MessagePack, Serializer
from myapp.sessions.core.ending import RENEWALS
from myapp.sessions.core.events import SessionEnded, SessionEvent
from myapp.sessions.core.kind import Kind, tell
from myapp.sessions.core.lifetime import SteadyClock, is_expired, to_datetime
from myapp.sessions.core.loading import content_of, load
from myapp.sessions.core.saved import follow_up, settle
from myapp.sessions.core.saving import save
from myapp.sessions.core.session import Session
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.state import NOBODY, Client, Loaded, State
from myapp.sessions.core.store import Ending, SessionStore, StoredSession
from myapp.sessions.core.token import is_handle, is_token
from myapp.sessions.core.user import user_name

ANYBODYS: Final[Any] = object()
"""Stands for the sessions of any user, or of none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """One session, for lists; moments are aware datetimes in UTC."""

    handle: str
    user_id: str | None
    created: datetime
    signed_in_at: datetime | None
    confirmed_at: datetime | None
    """When the user last proved who they are; `method` says how."""
    method: str | None
    last_seen: datetime
    expires: datetime
    address: str | None
    user_agent: str | None


class SessionManager:
    """Opens, lists and ends the sessions of one kind. Thread-safe."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.name, self.settings, self.store = kind.name, kind.settings, kind.store

    def load(self, token: str) -> Session | None:
        """The live session of a token, to read only; None if the token opens nothing.

        Changing it raises SessionClosed, because it would never be saved. To change it, use
        `session`.
        """
        state = State(kind=self.kind, source=Tokens(token))
        session = Session(state)
        if session.new:
            return None
        state.closed, state.source = True, None
        return session

    @contextmanager
    def session(self, token: str | None = None) -> Iterator[Session]:
        """The session of a token, or a new one, saved when the block ends without an error.

        Its `token` is what a client would send.
        """
        state = State(kind=self.kind, source=Tokens(token))
        yield Session(state)
        saved = save(state)
        settle(state, saved)
        state.closed, state.source = True, None
        follow_up(self.kind, saved, tell)

    def check(self) -> None:
        """Raise StoreUnavailable if sessions can't be saved now. Nothing is changed."""
        nobody = bytes(32)
        self.store.touch(nobody, seen_at=0, expires_at=0, not_since=0)

    def iterate(self) -> Iterator[tuple[SessionInfo, dict[str, Any]]]:
        """All live sessions with their values, streamed; unreadable ones are left out."""
        for row in self.store.iterate(self.name):
            content = None if self._is_expired(row) else content_of(self.kind, row)
            if content is not None:
                yield _info(row, content), content.values

    def of_user(self, user_id: str | int | UUID) -> list[SessionInfo]:
        """The live sessions of a user, last seen first."""
        rows = [row for row in self._rows_of(user_id) if not self._is_expired(row)]
        return [_info(row, content_of(self.kind, row) or Content()) for row in rows]

    def end(self, handle: str, *, user_id: str | int | UUID = ANYBODYS) -> bool:
        """End a session by its handle; with `user_id`, only if it is this user's. Returns whether
        it was ended.

        A `user_id` of None raises TypeError: the caller decides what visitors may end.
        """
        name = None if user_id is ANYBODYS else _name_of(user_id)
        for _ in range(RENEWALS):
            row = self._find(handle)
            if row is None or name not in (None, row.user_id):
                return False
            if self._revoke(row):
                return True
        return False

    def end_all(self, user_id: str | int | UUID, *, keep: str | None = None) -> int:
        """End all sessions of a user except the one with the handle `keep`, and return how many
        ended.

        A session that is renewed meanwhile is ended, too; one that begins meanwhile stays.
        """
        if not isinstance(keep, str | None):
            raise TypeError(f"keep must be the handle of a session, not {keep!r}")
        others = [row for row in self._rows_of(user_id) if row.handle not in (None, keep)]
        return sum(self._revoke(row) or self.end(row.handle or "") for row in others)

    def _find(self, handle: str) -> StoredSession | None:
        if not isinstance(handle, str):
            raise TypeError(f"a session's handle must be a str, not {handle!r}")
        # A link may hold anything, and not every database accepts it as text.
        return self.store.find(self.name, handle) if is_handle(handle) else None

    def _rows_of(self, user_id: str | int | UUID) -> Sequence[StoredSession]:
        name = _name_of(user_id)
        return self.store.of_user(self.name, name, self.kind.clock()) if name else []

    def _is_expired(self, row: StoredSession) -> bool:
        return is_expired(self.kind.clock(), row, self.settings.idle_timeout)

    def _revoke(self, row: StoredSession) -> bool:
        """End one session; False if it was ended or renewed meanwhile."""
        if not self.store.end([Ending(row.digest, "revoked")]):
            return False
        self.kind.publish(revoked(self.kind, row))
        return True


def _name_of(user_id: object) -> str:
    """A user's id as it is stored; empty if nobody can sign in with it. Raises TypeError."""
    try:
        return user_name(user_id)
    except ValueError:
        return ""


def make_manager(
    settings: SessionSettings,
    store: SessionStore,
    *,
    serializer: Serializer | None = None,
    clock: Callable[[], int] | None = None,
    publish: Callable[[SessionEvent], None] = lambda event: None,
) -> SessionManager:
    """A session manager without an application, for scripts and tests."""
    codec = Codec(serializer or MessagePack(), settings.max_size)
    return SessionManager(
        Kind(settings, store, codec, clock=clock or SteadyClock(), publish=publish)
    )


def revoked(kind: Kind, row: StoredSession) -> SessionEnded:
    """The event of a session that somebody ended by its handle."""
    return SessionEnded(manager=kind.name, reason="revoked", handle=row.handle, user_id=row.user_id)


class Tokens:
    """The source of a session that belongs to no request."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def open(self, kind: Kind) -> Loaded:
        """What is stored for the token."""
        return self.look_up(kind, self._token or "")

    def look_up(self, kind: Kind, token: str) -> Loaded:
        """What is stored for another token."""
        return load(kind, (token,) if is_token(token) else (), tell)

    def client(self, kind: Kind) -> Client:
        """A script is nobody's browser."""
        return NOBODY

    def publish(self, kind: Kind, event: SessionEvent) -> None:
        """Tell subscribers, of no request."""
        tell(kind, event)


def _info(row: StoredSession, content: Content) -> SessionInfo:
    proof = content.proof
    return SessionInfo(
        handle=row.handle or "",
        user_id=row.user_id,
        created=to_datetime(row.created_at),
        signed_in_at=None if row.signed_in_at is None else to_datetime(row.signed_in_at),
        confirmed_at=None if proof is None else to_datetime(proof.confirmed_at),
        method=None if proof is None else proof.method,
        last_seen=to_datetime(row.seen_at),
        expires=to_datetime(row.expires_at),
        address=row.address,
        user_agent=row.user_agent,
    )
