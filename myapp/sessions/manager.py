"""One kind of session: its settings, its cookie, its store. Loads once, decides once, saves once.

It knows no web framework and no database: the factory brings it requests, the store keeps rows.
What it sends follows what the store did, never what was intended (S7).
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from myapp.sessions import lifetime
from myapp.sessions.codec import Codec, Content
from myapp.sessions.cookie import CookieWriter
from myapp.sessions.errors import (
    LockTimeout,
    SaveConflict,
    SessionLost,
    StoreUnavailable,
    UnreadableData,
)
from myapp.sessions.events import (
    AmbiguousCookies,
    ChangeDropped,
    ConflictMerged,
    SessionEnded,
    SessionEvent,
    SessionRenewed,
    SessionStarted,
    UnknownToken,
    UnreadableSession,
)
from myapp.sessions.lifetime import Clock
from myapp.sessions.merge import merge
from myapp.sessions.session import Loaded, Origin, Session
from myapp.sessions.settings import Settings
from myapp.sessions.store import Ending, SessionStore, SessionWriter, StoredSession
from myapp.sessions.token import digest, is_token, new_handle, shortened

log = logging.getLogger(__name__)

Publish = Callable[[SessionEvent], None]

LOCK_LEASE: Final = 30 * lifetime.SECOND

SAVE_ATTEMPTS: Final = 10
"""How often a save is merged and tried again before it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What is recorded of who made a request."""

    address: str | None = None
    user_agent: str | None = None


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a save did: the Set-Cookie header to send, and what to tell subscribers."""

    cookie: str | None = None
    events: tuple[SessionEvent, ...] = ()
    row: StoredSession | None = None
    """What was written, to be looked for where a commit's answer was lost."""


_UNCHANGED: Final = Outcome()


class SessionManager:
    """Opens, saves, lists and ends the sessions of one kind. Safe for threads."""

    def __init__(
        self,
        settings: Settings,
        store: SessionStore,
        codec: Codec,
        *,
        clock: Clock,
        publish: Publish,
    ) -> None:
        self.settings, self.store, self.codec, self.clock = settings, store, codec, clock
        self.publish = publish
        self.name = settings.name
        self.cookie = CookieWriter(settings)

    # Loading.

    def open(self, tokens: Sequence[str], publish: Publish | None = None) -> Loaded:
        """What is stored for the tokens that a client sent, by one look-up at most."""
        publish = publish or self.publish
        if not tokens:
            return _nothing()
        by_digest = {digest(self.name, token): token for token in tokens}
        live, marker = [], None
        for stored in self.store.load(list(by_digest)):
            if self._is_expired(stored):
                continue
            if stored.ended is None:
                live.append(stored)
            else:
                marker = stored
        if len(live) == 1:
            return self._decoded(live[0], by_digest[live[0].digest], publish)
        if live:
            return self._ambiguous(live, tokens, publish)
        if marker is not None:
            return Loaded(origin=Origin.MARKER, stored=marker, content=self._of_marker(marker))
        for key in by_digest:
            log.info("unknown session token, digest %s", shortened(key))
        publish(UnknownToken(manager=self.name))
        return _nothing()

    def _is_expired(self, stored: StoredSession) -> bool:
        return lifetime.is_expired(
            now=self.clock(),
            seen_at=stored.seen_at,
            expires_at=stored.expires_at,
            deadline=stored.deadline,
            idle_timeout=self.settings.idle_timeout,
        )

    def _decoded(self, stored: StoredSession, token: str, publish: Publish) -> Loaded:
        try:
            content = self.codec.decode(stored.data)
        except UnreadableData as error:
            log.warning("unreadable session %s: %s", shortened(stored.digest), error)
            publish(UnreadableSession(manager=self.name, handle=stored.handle))
            return Loaded(origin=Origin.UNREADABLE, stored=stored)
        return Loaded(origin=Origin.LIVE, token=token, stored=stored, content=content)

    def _of_marker(self, marker: StoredSession) -> Content:
        """A late request sees an empty session, with the CSRF token that its page was given."""
        try:
            return Content(csrf=self.codec.decode(marker.data).csrf)
        except UnreadableData:
            return Content()

    def _ambiguous(
        self, live: Sequence[StoredSession], tokens: Sequence[str], publish: Publish
    ) -> Loaded:
        log.warning("a client sent %d live session cookies named %s", len(live), self.cookie.name)
        publish(AmbiguousCookies(manager=self.name))
        # The sign-in form, which is the way out, needs a CSRF token that the next request finds
        # again though nothing can be stored. Whoever knows only one of the cookies can't tell it.
        secret = hashlib.sha256("\0".join(["csrf", *sorted(tokens)]).encode("ascii")).digest()
        csrf = urlsafe_b64encode(secret).decode("ascii")
        return Loaded(
            origin=Origin.AMBIGUOUS,
            content=Content(csrf=csrf),
            rivals=tuple(stored.digest for stored in live),
        )

    # Saving.

    def save(
        self,
        session: Session,
        *,
        writer: SessionWriter | None = None,
        client: Client | None = None,
        touch: bool = True,
        only_end: bool = False,
    ) -> Outcome:
        """Carry out what the request wants of a session: one decision, one write at most.

        `writer` stands in for the manager's store, for a write within another transaction. With
        `only_end` a session is ended if that was asked for, and nothing is saved. Raises
        what the store raises, SaveConflict, NotStorable and SessionTooLarge: then nothing was
        saved and no cookie may be sent.
        """
        loaded = session.loaded
        if loaded is None:
            return _UNCHANGED
        store = writer or self.store
        client = client or Client()
        if session.ending is not None:
            return self._end(session, loaded, store, client, only_end)
        if only_end:
            return _UNCHANGED
        if loaded.origin is Origin.LIVE and loaded.stored is not None:
            return self._save_live(session, loaded, loaded.stored, store, client, touch)
        if loaded.origin in (Origin.MARKER, Origin.AMBIGUOUS) and not session.signing_in:
            # A late request, or one of which nobody can tell whose session it means.
            return _UNCHANGED
        if session.content.is_empty() and not session.signing_in:
            return _UNCHANGED
        return self._start(session, loaded, store, client)

    def _end(
        self,
        session: Session,
        loaded: Loaded,
        store: SessionWriter,
        client: Client,
        only_end: bool,
    ) -> Outcome:
        """End what was loaded; what was set afterwards begins a new session."""
        if loaded.origin is Origin.MARKER:
            if session.signing_in and not only_end:
                return self._start(session, loaded, store, client)
            return _UNCHANGED
        reason = session.ending or "invalidated"
        csrf = self._csrf_of(loaded.stored) if loaded.stored else None
        endings = [self._ending(row, reason, csrf) for row in _rows_of(loaded)]
        ended = (self._ended(loaded, reason),) if endings else ()
        if (session.signing_in or not session.content.is_empty()) and not only_end:
            started = self._insert(session, session.content, store, client, endings)
            return Outcome(started.cookie, ended + started.events, started.row)
        if endings and not store.end(endings) and not self._end_successor(loaded, store, reason):
            # Ended elsewhere already: the browser may hold a newer cookie.
            return _UNCHANGED
        return Outcome(self.cookie.delete(), ended)

    def _end_successor(self, loaded: Loaded, store: SessionWriter, reason: str) -> bool:
        """End the session into which another request renewed this one meanwhile, if one did.

        Whoever signs out means the session, whatever its token is by now; it keeps its handle.
        """
        handle = loaded.stored.handle if loaded.stored else None
        successor = self.store.find(self.name, handle) if handle else None
        if successor is None:
            return False
        return store.end([self._ending(successor.digest, reason, self._csrf_of(successor))]) == 1

    def _start(
        self, session: Session, loaded: Loaded, store: SessionWriter, client: Client
    ) -> Outcome:
        """Store a new session. Signing in also ends the rivals among which it had to choose."""
        rivals = loaded.rivals if session.signing_in else ()
        endings = [self._ending(row, "replaced") for row in rivals]
        started = self._insert(session, session.content, store, client, endings)
        ended = (SessionEnded(manager=self.name, reason="replaced"),) if endings else ()
        return Outcome(started.cookie, ended + started.events, started.row)

    def _insert(
        self,
        session: Session,
        content: Content,
        store: SessionWriter,
        client: Client,
        endings: list[Ending],
    ) -> Outcome:
        endings += [self._ending(row, "merged") for row in session.absorbed]
        new = self._new_row(session, content, client, created_at=self.clock())
        store.insert(new, endings)
        event = SessionStarted(manager=self.name, handle=new.handle, user_id=new.user_id)
        return Outcome(self._cookie_for(session), (event,), new)

    def _save_live(
        self,
        session: Session,
        loaded: Loaded,
        stored: StoredSession,
        store: SessionWriter,
        client: Client,
        touch: bool,
    ) -> Outcome:
        content = session.content
        data = self.codec.encode(content)
        if session.renewing or session.deadline_moved or session.absorbed:
            return self._write(session, stored, data, store, client)
        if data != stored.data and self._differs(stored, content):
            return self._write(session, stored, data, store, client)
        if touch:
            self._touch(stored)
        return _UNCHANGED

    def _differs(self, stored: StoredSession, content: Content) -> bool:
        """Whether the content means something else, when its bytes are others already.

        A dictionary in another order, say, does not. What a nested change put in is checked here,
        as an assignment is checked where it happens.
        """
        base = self.codec.decode(stored.data)
        changed = False
        for key, value in content.values.items():
            if key not in base.values or not self.codec.same(base.values[key], value):
                self.codec.check(key, value)
                changed = True
        return changed or base != content

    def _write(
        self,
        session: Session,
        stored: StoredSession,
        data: bytes,
        store: SessionWriter,
        client: Client,
    ) -> Outcome:
        """Update or renew a live session; what others saved meanwhile is merged in (S4)."""
        base = self.codec.decode(stored.data)
        mine = content = session.content
        same = self.codec.same
        merged: tuple[SessionEvent, ...] = ()
        for _ in range(SAVE_ATTEMPTS):
            self.codec.check_size(data)
            row = self._try_write(session, stored, content, data, store, client)
            if row is not None:
                return self._written(session, row, base, merged)
            theirs = self._decoded_present(stored.digest)
            if theirs is None:
                # What this request itself did, without what the ended session held.
                news = merge(base, mine, Content(), same)
                return self._too_late(session, news, store, client)
            stored, present = theirs
            content = mine if session.started_over else merge(base, mine, present, same)
            data = self.codec.encode(content)
            merged = (ConflictMerged(manager=self.name, handle=stored.handle),)
        raise SaveConflict(SAVE_ATTEMPTS)

    def _try_write(
        self,
        session: Session,
        stored: StoredSession,
        content: Content,
        data: bytes,
        store: SessionWriter,
        client: Client,
    ) -> StoredSession | None:
        endings = [self._ending(row, "merged") for row in session.absorbed]
        if session.renewing:
            created_at = self.clock() if session.signing_in else stored.created_at
            new = self._new_row(session, content, client, created_at=created_at)
            if not session.signing_in and not session.deadline_moved:
                new = self._with_deadline(new, stored.deadline)
            old = self._ending(stored.digest, "renewed", self._csrf_of(stored))
            return new if store.renew(old, stored.version, new, endings) else None
        seen_at = max(stored.seen_at, self.clock())
        deadline = session.deadline_at if session.deadline_moved else stored.deadline
        changed = replace(
            stored,
            version=stored.version + 1,
            data=data,
            seen_at=seen_at,
            deadline=deadline,
            expires_at=lifetime.expiry(seen_at, deadline, self.settings.idle_timeout),
        )
        return changed if store.update(changed, stored.version, endings) else None

    def _written(
        self,
        session: Session,
        row: StoredSession,
        base: Content,
        events: tuple[SessionEvent, ...],
    ) -> Outcome:
        if session.absorbed:
            events += (SessionEnded(manager=self.name, reason="merged"),)
        if session.renewing:
            events += (
                SessionRenewed(
                    manager=self.name,
                    handle=session.handle,
                    user_id=session.user_id,
                    signed_in=session.signing_in,
                ),
            )
        resend = (
            session.renewing or session.deadline_moved or session.content.remember != base.remember
        )
        return Outcome(self._cookie_for(session) if resend else None, events, row)

    def _too_late(
        self, session: Session, news: Content, store: SessionWriter, client: Client
    ) -> Outcome:
        """The session was ended elsewhere: the change is dropped, without any cookie (S5).

        A sign-in alone goes on, afresh: it never depended on the session that it found (R3).
        """
        if session.signing_in:
            return self._insert(session, news, store, client, [])
        return Outcome(None, (ChangeDropped(manager=self.name, handle=session.handle),))

    def limit_sessions(self, user_id: str) -> list[SessionEvent]:
        """End the oldest sessions of a user beyond `max_per_user`; after each sign-in (R8).

        Failing to do so harms nobody: the next sign-in does it again.
        """
        keep = self.settings.max_per_user
        if keep is None:
            return []
        try:
            count = self.store.end_oldest(self.name, user_id, keep, self.clock())
        except StoreUnavailable as error:
            log.warning("the sessions of a user were not limited: %s", error)
            return []
        ended = SessionEnded(manager=self.name, reason="limit", user_id=user_id)
        return [ended] * count

    def _touch(self, stored: StoredSession) -> None:
        """Note that the session is in use, if that is due; failing to do so harms nobody (S9)."""
        idle_timeout = self.settings.idle_timeout
        if idle_timeout is None and stored.user_id is None:
            return  # nothing depends on when it was last seen, and nobody lists it
        now = self.clock()
        interval = self.settings.touch_interval
        if not lifetime.touch_due(now=now, seen_at=stored.seen_at, interval=interval):
            return
        try:
            self.store.touch(
                stored.digest,
                seen_at=now,
                expires_at=lifetime.expiry(now, stored.deadline, idle_timeout),
                not_since=now - interval,
            )
        except StoreUnavailable as error:
            log.warning("session %s was not touched: %s", shortened(stored.digest), error)

    # Locking.

    @contextmanager
    def lock(self, session: Session, timeout: float) -> Iterator[None]:
        """Hold a session's lock, see `Session.lock`. A new session is nobody else's yet."""
        stored = session.stored
        if stored is None:
            yield
            return
        owner = new_handle()
        self._acquire(session, stored.digest, owner, timeout)
        try:
            self._refresh(session, stored)
            yield
            self._save_locked(session)
        finally:
            self.store.unlock(stored.digest, owner)

    def _acquire(self, session: Session, row: bytes, owner: str, timeout: float) -> None:
        give_up = time.monotonic() + timeout
        pause = 0.002
        while True:
            now = self.clock()
            if self.store.lock(row, owner, now=now, until=now + LOCK_LEASE):
                return
            if time.monotonic() + pause > give_up:
                raise LockTimeout(session.handle, timeout)
            if self._decoded_present(row) is None:
                raise SessionLost(f"session {session.handle} was ended elsewhere")
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 (only spreads the attempts)
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
        if any(isinstance(event, ChangeDropped) for event in outcome.events):
            raise SessionLost(f"session {session.handle} was ended elsewhere")
        if outcome.row is not None:
            session.rebase(outcome.row, self.codec.decode(outcome.row.data))

    # Rows and cookies.

    def _decoded_present(self, row: bytes) -> tuple[StoredSession, Content] | None:
        """The live row of a digest as it is now; never read within a transaction's snapshot."""
        for stored in self.store.load([row]):
            loaded = self._decoded(stored, "", self.publish)
            if stored.ended is None and not self._is_expired(stored) and loaded.stored:
                return (stored, loaded.content) if loaded.origin is Origin.LIVE else None
        return None

    def _new_row(
        self, session: Session, content: Content, client: Client, *, created_at: int
    ) -> StoredSession:
        now = self.clock()
        for key, value in content.values.items():
            self.codec.check(key, value)
        data = self.codec.encode(content)
        self.codec.check_size(data)
        deadline = session.deadline_at
        return StoredSession(
            digest=digest(self.name, session.token),
            manager=self.name,
            handle=session.handle,
            version=1,
            data=data,
            created_at=created_at,
            seen_at=now,
            deadline=deadline,
            expires_at=lifetime.expiry(now, deadline, self.settings.idle_timeout),
            user_id=session.user_id,
            generation=session.generation,
            address=client.address,
            user_agent=client.user_agent,
        )

    def _with_deadline(self, row: StoredSession, deadline: int) -> StoredSession:
        expires_at = lifetime.expiry(row.seen_at, deadline, self.settings.idle_timeout)
        return replace(row, deadline=deadline, expires_at=expires_at)

    def _ending(self, row: bytes, reason: str, csrf: str | None = None) -> Ending:
        return Ending(
            digest=row,
            reason=reason,
            expires_at=self.clock() + lifetime.MARKER_LIFETIME,
            data=self.codec.encode(Content(csrf=csrf)) if csrf else b"",
        )

    def _csrf_of(self, stored: StoredSession) -> str | None:
        try:
            return self.codec.decode(stored.data).csrf
        except UnreadableData:
            return None

    def _ended(self, loaded: Loaded, reason: str) -> SessionEvent:
        stored = loaded.stored
        return SessionEnded(
            manager=self.name,
            reason=reason,
            handle=stored.handle if stored else None,
            user_id=stored.user_id if stored else None,
        )

    def _cookie_for(self, session: Session) -> str:
        remember = session.content.remember
        if not (self.settings.cookie_persist if remember is None else remember):
            return self.cookie.set(session.token, None)
        left = lifetime.max_age(now=self.clock(), deadline=session.deadline_at)
        return self.cookie.set(session.token, left)

    # Outside of a request.

    def load(self, token: str) -> Session | None:
        """The live session of a token, to read; None if the token opens nothing."""
        session = Session(_Detached(self, (token,) if is_token(token) else ()))
        return session if not session.new else None

    @contextmanager
    def session(self, token: str | None = None) -> Iterator[Session]:
        """The session of a token, or a new one, saved when the block ends without an error.

        `session.token` is what a client would send.
        """
        session = Session(_Detached(self, (token,) if token and is_token(token) else ()))
        yield session
        outcome = self.save(session)
        session.close()
        for event in outcome.events:
            self.publish(event)

    def iterate(self) -> Iterator[tuple[SessionInfo, dict[str, Any]]]:
        """All live sessions with their values, streamed; one that can't be read is left out."""
        for stored in self.store.iterate(self.name):
            if self._is_expired(stored):
                continue
            loaded = self._decoded(stored, "", self.publish)
            if loaded.origin is Origin.LIVE:
                yield _info(stored), loaded.content.values

    def of_user(self, user_id: str) -> list[SessionInfo]:
        """The live sessions of a user, last seen first."""
        rows = self.store.of_user(self.name, user_id, self.clock())
        return [_info(row) for row in rows if not self._is_expired(row)]

    def end(self, handle: str, *, user_id: str | None = None) -> bool:
        """End a session by its handle, if it is this user's where one is given. Whether it was."""
        stored = self.store.find(self.name, handle)
        if stored is None or (user_id is not None and stored.user_id != user_id):
            return False
        return self._revoke([stored]) == 1

    def end_all(self, user_id: str, *, keep: str | None = None) -> int:
        """End all sessions of a user but the one with the handle `keep`. How many ended."""
        rows = self.store.of_user(self.name, user_id, self.clock())
        return self._revoke([row for row in rows if row.handle != keep])

    def _revoke(self, rows: Sequence[StoredSession]) -> int:
        if not rows:
            return 0
        count = self.store.end([Ending(row.digest, "revoked") for row in rows])
        for row in rows:
            self.publish(
                SessionEnded(
                    manager=self.name, reason="revoked", handle=row.handle, user_id=row.user_id
                )
            )
        return count


class _Detached:
    """The backing of a session that belongs to no request."""

    def __init__(self, manager: SessionManager, tokens: Sequence[str]) -> None:
        self._manager, self._tokens = manager, tokens
        self.settings, self.codec, self.clock = manager.settings, manager.codec, manager.clock

    def open(self) -> Loaded:
        return self._manager.open(self._tokens)

    def look_up(self, token: str) -> Loaded:
        return self._manager.open((token,) if is_token(token) else ())

    def lock(self, session: Session, timeout: float) -> AbstractContextManager[None]:
        return self._manager.lock(session, timeout)


def _nothing() -> Loaded:
    # Not one shared value: its content is the session's, and changes.
    return Loaded(origin=Origin.NOTHING)


def _rows_of(loaded: Loaded) -> list[bytes]:
    own = [loaded.stored.digest] if loaded.stored is not None else []
    return own + list(loaded.rivals)


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
