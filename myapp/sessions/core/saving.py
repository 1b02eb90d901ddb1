"""What becomes of a session: decided once, written once, merged where others were faster.

What a save answers is the row that it has written, and never what was wished.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from myapp.sessions.core import lifetime
from myapp.sessions.core.discreet import Discreet
from myapp.sessions.core.draft import Draft
from myapp.sessions.core.ending import digests_of, dropped, end, ended, marker
from myapp.sessions.core.errors import OldSnapshot, SaveConflict, SessionLost, StoreUnavailable
from myapp.sessions.core.events import ConflictMerged, SessionEvent, SessionRenewed, SessionStarted
from myapp.sessions.core.kind import Kind
from myapp.sessions.core.loading import csrf_of, nothing, present
from myapp.sessions.core.rows import changed_row, new_row, renewed_row
from myapp.sessions.core.saved import NOTHING_SAVED, Saved
from myapp.sessions.core.state import (
    NOBODY,
    NOTHING_WANTED,
    WITHOUT_END,
    Client,
    Intent,
    Loaded,
    Origin,
    State,
)
from myapp.sessions.core.store import Ending, SessionWriter, StoredSession
from myapp.sessions.core.token import new_csrf_token, new_token, shortened
from myapp.sessions.core.turn import Line

log = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds for which a save is merged and tried again before it is given up."""
_LONGEST_PAUSE: Final = 0.1
_OVERTAKEN: Final = 3
"""How often saves of this process that came later may go first, which is twice as fast."""


def save(state: State, writer: SessionWriter | None = None) -> Saved:
    """Carry out what a request wants of a session.

    `writer` stands in for the store, for a write within another transaction; nothing is touched
    there. Raises what the store raises, SaveConflict, NotStorable and SessionTooLarge: then nothing
    was saved, and no cookie may be sent.
    """
    loaded, intent = state.loaded, state.intent
    if loaded is None:
        return NOTHING_SAVED
    store = writer or state.kind.store
    if intent.end is None:
        return _save(state, loaded, intent, store)
    done = end(state.kind, loaded, intent, store)
    if done is None and intent.sign_in is None:
        # The browser may hold a newer cookie (S5).
        return NOTHING_SAVED if state.content.is_empty() else dropped(state.kind)
    if done is not None and intent.sign_in is None and state.content.is_empty():
        return done
    # What is set from here on begins a new session; a late request still has its marker.
    now = loaded if loaded.origin in WITHOUT_END else nothing()
    begun = _save(state, now, replace(intent, end=None, end_also=()), store)
    return (done or NOTHING_SAVED).then(begun)


def save_only_end(state: State) -> Saved:
    """End a session if that is wanted, and save nothing."""
    if state.loaded is None or state.intent.end is None:
        return NOTHING_SAVED
    return end(state.kind, state.loaded, state.intent, state.kind.store) or NOTHING_SAVED


def save_within_lock(state: State, until: int) -> Saved:
    """Store what a locked block changed; a renewal, a sign-in or an ending waits for the response.

    `until` is when the lock ends.
    """
    loaded, intent = state.loaded, state.intent
    if loaded is None or intent.end is not None or intent.sign_in is not None:
        return NOTHING_SAVED
    store, contents = state.kind.store, replace(intent, token=None)
    saved = _save(state, loaded, contents, store, until)
    return replace(saved, left=Intent(token=intent.token)) if intent.token else saved


def is_at_rest(state: State) -> bool:
    """Whether there is nothing to save of a session that was looked at, not even a touch."""
    changed = state.lent or state.assigned or state.intent is not NOTHING_WANTED
    return not (changed or state.owes_cookie or (state.loaded and state.loaded.touch_due))


def _save(
    state: State, loaded: Loaded, intent: Intent, writer: SessionWriter, until: int | None = None
) -> Saved:
    kind, mine = state.kind, state.content
    before = loaded.row if loaded.origin is Origin.LIVE else None
    draft = Draft(kind.codec, mine, mine, before, intent.absorb)
    made = Save(kind, state, loaded, intent, writer, draft, before, until)
    return made.begin() if before is None else made.go_on(before)


class Save(Discreet, msgspec.Struct, eq=False):
    """One save of one session: what it goes on from, and what it has found out by now."""

    kind: Kind
    state: State
    loaded: Loaded
    intent: Intent
    writer: SessionWriter
    draft: Draft
    before: StoredSession | None
    """The row to be replaced, as it was read last; None if a new one begins."""
    until: int | None
    """When the lock ends within which this is saved."""
    replaced: Sequence[Ending] = ()
    """What a sign-in ends, having had to choose between several or being unable to read it."""
    conflict: bool = False
    tries: int = 0
    give_up: float = 0.0

    @property
    def token(self) -> str:
        """Under which the session is stored from now on."""
        return self.intent.token or self.loaded.token or ""

    def begin(self) -> Saved:
        """Store a new session, if there is anything to store."""
        if self.intent.sign_in is None and (
            # A late request, or one of which nobody can tell whose session it means.
            self.loaded.origin in (*WITHOUT_END, Origin.AMBIGUOUS) or self.draft.content.is_empty()
        ):
            return NOTHING_SAVED
        return self._begin()

    def _begin(self) -> Saved:
        """Signing in also ends the rivals among which it had to choose."""
        # An unreadable row, too, must not come back with a later version of the serializer (R4).
        if self.intent.sign_in is not None and self.loaded.origin is not Origin.MARKER:
            digests = digests_of(self.loaded)
            self.replaced = [marker(self.kind, digest, "replaced") for digest in digests]
        if self.intent.token is None:
            self.intent = replace(self.intent, token=new_token())
        if self.state.lent:
            self.draft.check()
        try:
            row = self._write()
        except _Ended:
            return NOTHING_SAVED
        started = SessionStarted(manager=self.kind.name, handle=row.handle, user_id=row.user_id)
        replaced = [ended(self.kind, None, "replaced")] if self.replaced else []
        return self._saved(row, [*replaced, *self._merged(), started], sets_cookie=True)

    def go_on(self, row: StoredSession) -> Saved:
        """Update or renew a live session; what others saved meanwhile is merged in (S4)."""
        intent, state, draft = self.intent, self.state, self.draft
        if intent.token or intent.deadline or intent.absorb:
            if state.lent:
                draft.check()
        elif not (state.lent or state.assigned) or not draft.is_changed(row, lent=state.lent):
            return self._leave(row)
        try:
            written = self._write()
        except _Ended:
            return self._too_late(row)
        events: list[SessionEvent] = []
        if self.conflict:
            events.append(ConflictMerged(manager=self.kind.name, handle=row.handle))
        if draft.absorb:
            events += self._merged()
        if intent.token:
            events.append(self._renewed(written))
        asked = state.owes_cookie or intent.token or intent.deadline
        sets_cookie = bool(asked or (state.lent and draft.remembers_otherwise))
        return self._saved(written, events, sets_cookie=sets_cookie)

    def _leave(self, row: StoredSession) -> Saved:
        """Nothing was changed."""
        if self.state.owes_cookie:
            # A locked block asked for it, if its session is still alive (S5).
            found = present(self.kind, row.digest)
            now = found and replace(self.loaded, row=found[0], content=found[1])
            return Saved(loaded=now, sets_cookie=True) if now else NOTHING_SAVED
        # Neither within a lock nor in another's transaction: what it lets others wait for is short.
        if self.loaded.touch_due and self.until is None and self.writer is self.kind.store:
            self._touch(row)
        return NOTHING_SAVED

    def _too_late(self, row: StoredSession) -> Saved:
        """The session was ended elsewhere: the change is dropped, without any cookie (S5).

        A sign-in alone goes on, afresh: it never depended on the session that it found (R3). It
        gets a handle of its own: the old one may live on in the renewal that was faster, and
        whoever is revoking it must not find this one.
        """
        if self.intent.sign_in is None:
            return dropped(self.kind, row.handle)
        self.draft.keep_mine_alone()
        self.draft.content.csrf = self.draft.content.csrf or new_csrf_token()
        self.intent = replace(self.intent, handle=None)
        self.loaded, self.before = nothing(), None
        return self._begin()

    # Writing, until it is done.

    def _write(self) -> StoredSession:
        """What was written in the end. Raises _Ended if somebody else ended the session.

        Those of this process that lose a race stand in line to try again. While their session is
        written within a transaction of the application's they don't: it holds locks meanwhile.
        """
        if self.before is None or self.writer is not self.kind.store:
            return self._put() or self._put_again()
        kind, digest = self.kind, self.before.digest
        is_closed = kind.has_closed_lines and kind.lines.is_closed(digest)
        if not is_closed and (row := self._put()):
            return row
        self.give_up = time.monotonic() + PATIENCE
        line = kind.lines.of(digest)
        # Even if the wait fails, there is as much time left to try.
        with line.turn(PATIENCE / 2):
            return self._put_again(line)

    def _put_again(self, line: Line | None = None) -> StoredSession:
        while True:
            self._pause()
            self._catch_up()
            row = self._put()
            if row is not None:
                return row
            if line is not None and self.tries >= _OVERTAKEN:
                line.close()
                self.kind.has_closed_lines = True

    def _put(self) -> StoredSession | None:
        """Write, if the store holds what we think; None if not."""
        before, data = self.before, self.draft.data or self.draft.encode()
        endings = self._endings() if self.draft.absorb else []
        if before is None:
            row = self._new_row(data)
            return row if self.writer.insert(row, [*self.replaced, *endings]) else None
        if self.intent.token is None:
            row = changed_row(self.kind, before, self.intent, data)
            return row if self.writer.update(row, before.version, endings) else None
        row = self._renewed_row(before, data)
        old = marker(self.kind, before.digest, "renewed", csrf=csrf_of(self.kind, before))
        return row if self.writer.renew(old, before.version, row, endings) else None

    def _pause(self) -> None:
        """From the second try on, wait a moment, at random: else the same would collide again."""
        now = time.monotonic()
        self.give_up = self.give_up or now + PATIENCE
        if now > self.give_up:
            raise SaveConflict(PATIENCE)
        if self.tries:
            longest = min(0.001 * 2**self.tries, _LONGEST_PAUSE)
            time.sleep(random.SystemRandom().uniform(0, longest))
        self.tries += 1

    def _catch_up(self) -> None:
        """Take in what others have stored meanwhile. Raises _Ended if the session was ended."""
        if self.until is not None and self.kind.clock() >= self.until:
            raise SessionLost("the session was held longer than its lock")
        known = self.before, self.draft.absorb
        self.draft.absorb_again(partial(present, self.kind))
        if self.before is not None:
            self._read_again(self.before)
        elif self.draft.content.is_empty() and self.intent.sign_in is None:
            # It held nothing but what was merged into it, and that has ended.
            raise _Ended
        if known == (self.before, self.draft.absorb) and self.writer is not self.kind.store:
            raise OldSnapshot("the transaction does not see the session as it is")

    def _read_again(self, before: StoredSession) -> None:
        found = present(self.kind, before.digest)
        if found is None:
            raise _Ended
        self.before = found[0]
        self.conflict = self.conflict or found[0].version != before.version
        if not self._starts_over(before):
            self.draft.take_in(found[1])

    def _starts_over(self, before: StoredSession) -> bool:
        """Whether another user signs in, for whom nothing of the last one's is kept (R4)."""
        sign_in = self.intent.sign_in
        return sign_in is not None and before.user_id not in (None, sign_in.user_id)

    # What is written, and what is told.

    def _new_row(self, data: bytes) -> StoredSession:
        client, moment = self._client(), self._moment_of_sign_in()
        return new_row(self.kind, self.token, self.intent, data, client, signed_in_at=moment)

    def _renewed_row(self, before: StoredSession, data: bytes) -> StoredSession:
        sign_in = self.intent.sign_in
        if sign_in is None or sign_in.again:
            client = self._client()
            return renewed_row(self.kind, before, self.token, self.intent, data, client)
        row = self._new_row(data)
        return replace(row, seen_at=max(row.seen_at, before.seen_at))

    def _client(self) -> Client:
        source = self.state.source
        return NOBODY if source is None else source.client(self.kind)

    def _moment_of_sign_in(self) -> int | None:
        """When the user signed in: later than ever before, whatever other machines' clocks say.

        Else the limit of a user's sessions could end the one that has just begun (R8).
        """
        sign_in, kind = self.intent.sign_in, self.kind
        if sign_in is None:
            return None
        if kind.settings.max_per_user is None:
            return sign_in.at
        last = kind.store.last_sign_in(kind.name, sign_in.user_id, sign_in.at)
        return sign_in.at if last is None else max(sign_in.at, last + 1)

    def _endings(self) -> list[Ending]:
        """The sessions that were merged into this one end with the save, or it is not made."""
        return [
            marker(self.kind, each.row.digest, "merged", version=each.row.version)
            for each in self.draft.absorb
        ]

    def _merged(self) -> list[SessionEvent]:
        return [ended(self.kind, each.row, "merged") for each in self.draft.absorb]

    def _renewed(self, row: StoredSession) -> SessionRenewed:
        return SessionRenewed(
            manager=self.kind.name,
            handle=row.handle,
            user_id=row.user_id,
            signed_in=self.intent.sign_in is not None,
        )

    def _saved(self, row: StoredSession, events: list[SessionEvent], *, sets_cookie: bool) -> Saved:
        content = self.draft.content
        return Saved(
            loaded=Loaded(origin=Origin.LIVE, token=self.token, row=row, content=content),
            sets_cookie=sets_cookie,
            signed_in=self.intent.sign_in is not None,
            events=tuple(events),
        )

    def _touch(self, row: StoredSession) -> None:
        """Note that the session is in use, which is due; failing to do so harms nobody (S9)."""
        settings, now = self.kind.settings, self.kind.clock()
        try:
            touched = self.kind.store.touch(
                row.digest,
                seen_at=now,
                # Its deadline may have been moved since: the store knows it.
                expires_at=lifetime.expiry(now, lifetime.NEVER, settings.idle_timeout),
                not_since=now - settings.touch_interval,
            )
        except StoreUnavailable as error:
            # The outage was logged once already; it is not logged at each request (L8).
            log.info("session %s was not touched: %s", shortened(row.digest), error)
            return
        if not touched:
            log.debug(
                "session %s was not touched: it was just now, or has ended", shortened(row.digest)
            )


class _Ended(Exception):
    """Somebody else ended the session that was to be saved, or all that was to be in it."""
