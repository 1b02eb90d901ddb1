"""One kind of session: its settings, its cookie, its store, and what is done outside of requests.

It knows no web framework and no database: the factory brings it requests, the store keeps rows.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from myapp.sessions.core import lifetime
from myapp.sessions.core.codec import Codec, MessagePack, Serializer
from myapp.sessions.core.errors import (
    LockTimeout,
    SessionLost,
    StoreUnavailable,
)
from myapp.sessions.core.events import (
    ChangeDropped,
    SessionEnded,
)
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.core.merge import merge
from myapp.sessions.core.saving import RENEWALS, Saver
from myapp.sessions.core.session import Loaded, Origin, Session
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.store import Ending, SessionStore, StoredSession
from myapp.sessions.core.token import is_token, new_handle, shortened

log = logging.getLogger(__name__)

LOCK_LEASE: Final = 30 * lifetime.SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """One session, for lists; moments are aware datetimes in UTC."""

    handle: str
    user_id: str | None
    created: datetime
    last_seen: datetime
    expires: datetime
    address: str | None
    user_agent: str | None


class SessionManager(Saver):
    """Opens, saves, lists and ends the sessions of one kind. Safe for threads."""

    @contextmanager
    def lock(self, session: Session, timeout: float) -> Iterator[None]:
        """Hold a session's lock, see `Session.lock`. A new session is nobody else's yet."""
        stored = session.stored
        if stored is None:
            yield
            return
        owner = new_handle()
        until = self._acquire(session, stored.digest, owner, timeout)
        try:
            self._refresh(session, stored)
            yield
            if self.clock() >= until:
                raise SessionLost(f"session {session.handle} was held longer than its lock")
            self._save_locked(session)
        finally:
            self._release(stored.digest, owner)

    def _release(self, row: bytes, owner: str) -> None:
        try:
            self.store.unlock(row, owner)
        except StoreUnavailable as error:
            # What the block did stands; the lock ends by itself.
            log.warning("session %s was not unlocked: %s", shortened(row), error)

    def _acquire(self, session: Session, row: bytes, owner: str, timeout: float) -> int:
        """Wait for the lock; until when it is held at the latest."""
        give_up = time.monotonic() + timeout
        pause = 0.002
        while True:
            now = self.clock()
            if self.store.lock(row, owner, now=now, until=now + LOCK_LEASE):
                return now + LOCK_LEASE
            if time.monotonic() + pause > give_up:
                raise LockTimeout(session.handle, timeout)
            if self._decoded_present(row) is None:
                raise SessionLost(f"session {session.handle} was ended elsewhere")
            # No database tells everybody when a lock is free: so we ask again, ever less often.
            time.sleep(pause * random.SystemRandom().uniform(0.5, 1))
            pause = min(2 * pause, 0.05)

    def _refresh(self, session: Session, stored: StoredSession) -> None:
        """Go on from what is stored now, with what this request has changed so far."""
        present = self._decoded_present(stored.digest)
        if present is None:
            raise SessionLost(f"session {session.handle} was ended elsewhere")
        row, theirs = present
        base = self.codec.decode(stored.data)
        session.rebase(row, merge(base, session.content, theirs, self.codec.same))

    def _save_locked(self, session: Session) -> None:
        """Store what the block changed; a renewal or an ending waits for the response."""
        stored = session.stored
        if stored is None or session.renewing:
            return
        outcome = self.save(session, touch=False)
        for event in outcome.events:
            self.publish(event)
        if any(isinstance(event, ChangeDropped) for event in outcome.events):
            raise SessionLost(f"session {session.handle} was ended elsewhere")
        session.resend_cookie = session.resend_cookie or outcome.cookie is not None
        if outcome.row is not None:
            session.rebase(outcome.row, self.codec.decode(outcome.row.data))

    def load(self, token: str) -> Session | None:
        """The live session of a token, to read; None if the token opens nothing.

        A change raises SessionClosed: it would never be saved. See `session`.
        """
        session = Session(Detached(self, (token,) if is_token(token) else ()))
        if session.new:
            return None
        session.close()
        return session

    @contextmanager
    def session(self, token: str | None = None) -> Iterator[Session]:
        """The session of a token, or a new one, saved when the block ends without an error.

        `session.token` is what a client would send.
        """
        session = Session(Detached(self, (token,) if token and is_token(token) else ()))
        yield session
        outcome = self.save(session)
        session.close()
        events = list(outcome.events)
        if session.signing_in and outcome.row is not None and session.user_id is not None:
            events += self.limit_sessions(session.user_id)
        for event in events:
            self.publish(event)

    def check(self) -> None:
        """Raise StoreUnavailable where sessions can't be saved now. Nothing is changed."""
        nobody = bytes(32)
        self.store.touch(nobody, seen_at=0, expires_at=0, not_since=0)

    def iterate(self) -> Iterator[tuple[SessionInfo, dict[str, Any]]]:
        """All live sessions with their values, streamed; one that can't be read is left out."""
        for stored in self.store.iterate(self.name):
            now = self.clock()
            if self._is_expired(stored, now):
                continue
            loaded = self._decoded(stored, "", self.publish, now)
            if loaded.origin is Origin.LIVE:
                yield _info(stored), loaded.content.values

    def of_user(self, user_id: str | int | UUID) -> list[SessionInfo]:
        """The live sessions of a user, last seen first."""
        now = self.clock()
        rows = self.store.of_user(self.name, str(user_id), now)
        return [_info(row) for row in rows if not self._is_expired(row, now)]

    def end(self, handle: str, *, user_id: str | int | UUID | None = None) -> bool:
        """End a session by its handle, if it is this user's where one is given. Whether it was."""
        for _ in range(RENEWALS):
            stored = self.store.find(self.name, handle)
            if stored is None or (user_id is not None and stored.user_id != str(user_id)):
                return False
            if self._revoke(stored):
                return True
        return False

    def end_all(self, user_id: str | int | UUID, *, keep: str | None = None) -> int:
        """End all sessions of a user but the one with the handle `keep`. How many ended.

        One that is renewed meanwhile is found by its handle; one that begins meanwhile stays.
        """
        rows = self.store.of_user(self.name, str(user_id), self.clock())
        others = [row for row in rows if row.handle is not None and row.handle != keep]
        return sum(self._revoke(row) or self.end(row.handle or "") for row in others)

    def _revoke(self, row: StoredSession) -> bool:
        """End one session; False if it was ended or renewed meanwhile."""
        if not self.store.end([Ending(row.digest, "revoked")]):
            return False
        self.publish(
            SessionEnded(
                manager=self.name, reason="revoked", handle=row.handle, user_id=row.user_id
            )
        )
        return True


def make_manager(
    settings: SessionSettings,
    store: SessionStore,
    *,
    serializer: Serializer | None = None,
    clock: Callable[[], int] | None = None,
    publish: Callable[[Any], None] = lambda event: None,
) -> SessionManager:
    """A session manager apart from any application, for scripts and tests."""
    codec = Codec(serializer or MessagePack(), settings.max_size)
    return SessionManager(settings, store, codec, clock=clock or SteadyClock(), publish=publish)


class Detached:
    """The backing of a session that belongs to no request."""

    def __init__(self, manager: SessionManager, tokens: Sequence[str]) -> None:
        self.manager, self._tokens = manager, tokens

    def open(self) -> Loaded:
        return self.manager.open(self._tokens)

    def close(self) -> None:
        pass

    def look_up(self, token: str) -> Loaded:
        return self.manager.open((token,) if is_token(token) else ())

    def lock(self, session: Session, timeout: float) -> AbstractContextManager[None]:
        return self.manager.lock(session, timeout)


def _info(stored: StoredSession) -> SessionInfo:
    return SessionInfo(
        handle=stored.handle or "",
        user_id=stored.user_id,
        created=lifetime.to_datetime(stored.created_at),
        last_seen=lifetime.to_datetime(stored.seen_at),
        expires=lifetime.to_datetime(stored.expires_at),
        address=stored.address,
        user_agent=stored.user_agent,
    )
