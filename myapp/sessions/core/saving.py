"""What becomes of a session: decided once, written once, merged where others were faster.

What is sent to the client follows what the store did, never what was intended (S7).
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from msgspec.structs import replace

from myapp.sessions.core import lifetime
from myapp.sessions.core.codec import Content
from myapp.sessions.core.errors import (
    SaveConflict,
    StoreUnavailable,
    UnreadableData,
)
from myapp.sessions.core.events import (
    ChangeDropped,
    ConflictMerged,
    SessionEnded,
    SessionEvent,
    SessionRenewed,
    SessionStarted,
)
from myapp.sessions.core.loading import Loader
from myapp.sessions.core.merge import merge
from myapp.sessions.core.session import Loaded, Origin, Session
from myapp.sessions.core.store import Ending, SessionWriter, StoredSession
from myapp.sessions.core.token import digest, shortened
from myapp.sessions.web.client import Client, DescribeClient

log = logging.getLogger(__name__)

RENEWALS: Final = 5
"""So often at most is a session looked for again that was renewed just before it was ended."""

SAVE_ATTEMPTS: Final = 10
"""How often a save is merged and tried again before it is given up."""


class Outcome(msgspec.Struct, frozen=True):
    """What a save did: the Set-Cookie header to send, and what to tell subscribers."""

    cookie: str | None = None
    events: tuple[SessionEvent, ...] = ()
    row: StoredSession | None = None
    """What was written, to be looked for where a commit's answer was lost."""
    endings: tuple[Ending, ...] = ()
    """What was ended, likewise, where nothing else was written."""

    def __repr__(self) -> str:
        # The cookie is never shown (R6).
        return f"<Outcome {self.row!r}, {len(self.events)} events>"


UNCHANGED: Final = Outcome()


class Saver(Loader):
    """A loader that also saves."""

    def is_at_rest(self, session: Session) -> bool:
        """Whether there is nothing to save of a session that was loaded, not even a touch."""
        loaded = session.loaded
        if session.lent or session.assigned or loaded is None:
            return False
        stored = loaded.stored
        # Of a session that is not live, nobody can say when it was loaded: its touch is never due.
        return stored is None or not lifetime.touch_due(
            loaded.at, stored.seen_at, self.settings.touch_interval
        )

    def save(
        self,
        session: Session,
        *,
        writer: SessionWriter | None = None,
        client: DescribeClient = Client,
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
            return UNCHANGED
        store = writer or self.store
        if session.ending is not None:
            return self._end(session, loaded, store, client, only_end)
        if only_end:
            return UNCHANGED
        if loaded.origin is Origin.LIVE and loaded.stored is not None:
            return self._save_live(session, loaded, loaded.stored, store, client, touch)
        if loaded.origin in (Origin.MARKER, Origin.AMBIGUOUS) and not session.signing_in:
            # A late request, or one of which nobody can tell whose session it means.
            return UNCHANGED
        if session.content.is_empty() and not session.signing_in:
            return UNCHANGED
        return self._start(session, loaded, store, client)

    def _end(
        self,
        session: Session,
        loaded: Loaded,
        store: SessionWriter,
        client: DescribeClient,
        only_end: bool,
    ) -> Outcome:
        """End what was loaded; what was set afterwards begins a new session."""
        if loaded.origin is Origin.MARKER:
            if session.signing_in and not only_end:
                return self._start(session, loaded, store, client)
            return UNCHANGED
        ended = self._end_loaded(loaded, store, session.ending or "invalidated")
        if ended is None and not session.signing_in:
            # Ended elsewhere already: the browser may hold a newer cookie (S5).
            dropped = ChangeDropped(manager=self.name)
            return Outcome(None, () if session.content.is_empty() else (dropped,))
        done = ended or UNCHANGED
        if (session.signing_in or not session.content.is_empty()) and not only_end:
            started = self._insert(session, session.content, store, client, [])
            return Outcome(started.cookie, done.events + started.events, started.row)
        if session.absorbed:
            store.end([self._ending(row, "merged") for row in session.absorbed])
        return Outcome(self.cookie.deletion, done.events, endings=done.endings)

    def _end_loaded(self, loaded: Loaded, store: SessionWriter, reason: str) -> Outcome | None:
        """End what was loaded, or what it has become; None if it was ended elsewhere."""
        csrf = self._csrf_of(loaded.stored) if loaded.stored else None
        endings = [self._ending(row, reason, csrf) for row in _rows_of(loaded)]
        if not endings:
            return UNCHANGED
        if not store.end(endings):
            endings = self._end_successor(loaded, store, reason)
        if not endings:
            return None
        return Outcome(events=(self._ended(loaded, reason),), endings=tuple(endings))

    def _end_successor(self, loaded: Loaded, store: SessionWriter, reason: str) -> list[Ending]:
        """End the session into which another request renewed this one meanwhile, if one did.

        Whoever signs out means the session, whatever its token is by now; it keeps its handle.
        """
        if loaded.stored is None or loaded.stored.handle is None or reason == "outdated":
            # What is outdated gave way to the session in which the password was changed.
            return []
        for _ in range(RENEWALS):
            successor = self.store.find(self.name, loaded.stored.handle)
            if successor is None:
                return []
            ending = self._ending(successor.digest, reason, self._csrf_of(successor))
            if store.end([ending]):
                return [ending]
        return []

    def _start(
        self, session: Session, loaded: Loaded, store: SessionWriter, client: DescribeClient
    ) -> Outcome:
        """Store a new session. Signing in also ends the rivals among which it had to choose."""
        # An unreadable row, too, must not come back with a later version of the serializer (R4).
        old = _rows_of(loaded) if session.signing_in and loaded.origin is not Origin.MARKER else []
        endings = [self._ending(row, "replaced") for row in old]
        started = self._insert(session, session.content, store, client, endings)
        reasons = ["replaced"] * bool(endings) + ["merged"] * bool(session.absorbed)
        ended = tuple(SessionEnded(manager=self.name, reason=reason) for reason in reasons)
        return Outcome(started.cookie, ended + started.events, started.row)

    def _insert(
        self,
        session: Session,
        content: Content,
        store: SessionWriter,
        client: DescribeClient,
        endings: list[Ending],
    ) -> Outcome:
        endings = endings + [self._ending(row, "merged") for row in session.absorbed]
        now = self.clock()
        new = self._new_row(session, content, client, created_at=now, seen_at=now)
        store.insert(new, endings)
        event = SessionStarted(manager=self.name, handle=new.handle, user_id=new.user_id)
        return Outcome(self._cookie_for(session), (event,), new)

    def _save_live(
        self,
        session: Session,
        loaded: Loaded,
        stored: StoredSession,
        store: SessionWriter,
        client: DescribeClient,
        touch: bool,
    ) -> Outcome:
        if not (session.lent or session.assigned):
            return self._leave(session, loaded, stored, touch)
        content = session.content
        data = self.codec.encode(content)
        if data == stored.data and not session.must_be_written:
            return self._leave(session, loaded, stored, touch)
        base = None
        if session.lent or not self.codec.is_canonical:
            base = self.codec.decode(stored.data)
            # Asked in any case, since it also refuses what can't be stored.
            differs = self._differs(base, content)
            if not differs and not session.must_be_written:
                return self._leave(session, loaded, stored, touch)
        return self._write(session, stored, base, data, store, client)

    def _leave(
        self, session: Session, loaded: Loaded, stored: StoredSession, touch: bool
    ) -> Outcome:
        """Nothing was changed."""
        if session.resend_cookie:
            return Outcome(self._cookie_for(session))
        if touch and lifetime.touch_due(loaded.at, stored.seen_at, self.settings.touch_interval):
            self._touch(stored)
        return UNCHANGED

    def _differs(self, base: Content, content: Content) -> bool:
        """Whether the content means something else, when its bytes are others already.

        A dictionary in another order, say, does not. What a nested change put in is checked here,
        as an assignment is checked where it happens.
        """
        codec, loaded = self.codec, base.values
        changed = False
        for key, value in content.values.items():
            if key not in loaded or not codec.same(loaded[key], value):
                codec.check(key, value)
                changed = True
        return changed or base != content

    def _write(
        self,
        session: Session,
        stored: StoredSession,
        base: Content | None,
        data: bytes,
        store: SessionWriter,
        client: DescribeClient,
    ) -> Outcome:
        """Update or renew a live session; what others saved meanwhile is merged in (S4).

        `base` is what was loaded; None if nothing but plain values was assigned since.
        """
        mine = content = session.content
        same = self.codec.same
        merged: tuple[SessionEvent, ...] = ()
        for _ in range(SAVE_ATTEMPTS):
            self.codec.check_size(data)
            row = self._try_write(session, stored, content, data, store, client)
            if row is not None:
                if base is None:
                    return Outcome(row=row)
                return self._written(session, row, base, merged)
            if base is None:
                base = self.codec.decode(stored.data)
            theirs = self._decoded_present(stored.digest)
            if theirs is None:
                # What this request itself did, without what the ended session held.
                news = merge(base, mine, Content(), same)
                return self._too_late(session, news, store, client)
            if theirs[0].version != stored.version:
                merged = (ConflictMerged(manager=self.name, handle=stored.handle),)
            stored, present = theirs
            content = mine if session.started_over else merge(base, mine, present, same)
            data = self.codec.encode(content)
        raise SaveConflict(SAVE_ATTEMPTS)

    def _try_write(
        self,
        session: Session,
        stored: StoredSession,
        content: Content,
        data: bytes,
        store: SessionWriter,
        client: DescribeClient,
    ) -> StoredSession | None:
        endings = (
            [self._ending(row, "merged") for row in session.absorbed] if session.absorbed else ()
        )
        now = self.clock()
        seen_at = max(stored.seen_at, now)
        if session.renewing:
            created_at = now if session.signing_in else stored.created_at
            new = self._new_row(session, content, client, created_at=created_at, seen_at=seen_at)
            if not session.signing_in and not session.deadline_moved:
                new = self._with_deadline(new, stored.deadline)
            old = self._ending(stored.digest, "renewed", self._csrf_of(stored))
            return new if store.renew(old, stored.version, new, endings) else None
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
            session.resend_cookie
            or session.renewing
            or session.deadline_moved
            or session.content.remember != base.remember
        )
        return Outcome(self._cookie_for(session) if resend else None, events, row)

    def _too_late(
        self, session: Session, news: Content, store: SessionWriter, client: DescribeClient
    ) -> Outcome:
        """The session was ended elsewhere: the change is dropped, without any cookie (S5).

        A sign-in alone goes on, afresh: it never depended on the session that it found (R3).
        """
        if session.signing_in:
            # Under a name of its own: the old one may live on in the renewal that was faster, and
            # whoever is revoking it must not find this one.
            session.rename()
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
        """Note that the session is in use, which is due; failing to do so harms nobody (S9)."""
        idle_timeout = self.settings.idle_timeout
        if idle_timeout is None and stored.user_id is None:
            return  # nothing depends on when it was last seen, and nobody lists it
        now = self.clock()
        try:
            touched = self.store.touch(
                stored.digest,
                seen_at=now,
                # Its deadline may have been moved since: the store knows it.
                expires_at=lifetime.expiry(now, lifetime.NEVER, idle_timeout),
                not_since=now - self.settings.touch_interval,
            )
            if not touched:
                log.debug(
                    "session %s was not touched: it was just now, or has ended",
                    shortened(stored.digest),
                )
        except StoreUnavailable as error:
            log.warning("session %s was not touched: %s", shortened(stored.digest), error)

    def _new_row(
        self,
        session: Session,
        content: Content,
        client: DescribeClient,
        *,
        created_at: int,
        seen_at: int,
    ) -> StoredSession:
        for key, value in content.values.items():
            self.codec.check(key, value)
        data = self.codec.encode(content)
        self.codec.check_size(data)
        deadline = session.deadline_at
        who = client()
        return StoredSession(
            digest=digest(self.name, session.token),
            manager=self.name,
            handle=session.handle,
            version=1,
            data=data,
            created_at=created_at,
            seen_at=seen_at,
            deadline=deadline,
            expires_at=lifetime.expiry(seen_at, deadline, self.settings.idle_timeout),
            user_id=session.user_id,
            generation=session.generation,
            address=who.address,
            user_agent=who.user_agent,
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


def _rows_of(loaded: Loaded) -> list[bytes]:
    own = [loaded.stored.digest] if loaded.stored is not None else []
    return own + list(loaded.rivals)
