"""Which stored session a client's tokens open, judged by the clock: no web, no database."""

from __future__ import annotations

import hashlib
import logging
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence

from myapp.sessions.core import lifetime
from myapp.sessions.core.codec import Codec, Content
from myapp.sessions.core.errors import (
    UnreadableData,
)
from myapp.sessions.core.events import (
    AmbiguousCookies,
    SessionEvent,
    UnknownToken,
    UnreadableSession,
)
from myapp.sessions.core.lifetime import Clock
from myapp.sessions.core.session import Loaded, Origin
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.store import SessionStore, StoredSession
from myapp.sessions.core.token import digest, shortened
from myapp.sessions.web.cookie import CookieWriter

log = logging.getLogger(__name__)

Publish = Callable[[SessionEvent], None]


class Loader:
    """The parts of a session manager, and how it loads."""

    def __init__(
        self,
        settings: SessionSettings,
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

    def open(self, tokens: Sequence[str], publish: Publish | None = None) -> Loaded:
        """What is stored for the tokens that a client sent, by one look-up at most."""
        if not tokens:
            return _nothing()
        if len(tokens) > 1:
            by_digest = {digest(self.name, token): token for token in tokens}
        else:  # without the comprehension, which before Python 3.12 is a call of its own
            by_digest = {digest(self.name, tokens[0]): tokens[0]}
        rows = self.store.load([*by_digest])
        now = self.clock()
        publish = publish or self.publish
        if len(rows) == len(tokens) == 1 and not (rows[0].ended or self._is_expired(rows[0], now)):
            # What nearly every request is.
            return self._decoded(rows[0], tokens[0], publish, now)
        live, marker = [], None
        for stored in rows:
            if self._is_expired(stored, now):
                continue
            if stored.ended is None:
                live.append(stored)
            elif marker is None or stored.expires_at > marker.expires_at:
                marker = stored
        if len(live) == 1:
            return self._decoded(live[0], by_digest[live[0].digest], publish, now)
        if live:
            return self._ambiguous(live, tokens, publish)
        if marker is not None:
            return Loaded(origin=Origin.MARKER, stored=marker, content=self._of_marker(marker))
        for key in by_digest:
            log.info("unknown session token, digest %s", shortened(key))
        publish(UnknownToken(manager=self.name))
        return _nothing()

    def _is_expired(self, stored: StoredSession, now: int) -> bool:
        return lifetime.is_expired(
            now,
            stored.seen_at,
            stored.expires_at,
            stored.deadline,
            # A marker's time is its own: it says nothing of when anybody was there.
            None if stored.ended else self.settings.idle_timeout,
        )

    def _decoded(self, stored: StoredSession, token: str, publish: Publish, now: int) -> Loaded:
        try:
            content = self.codec.decode(stored.data)
        except UnreadableData as error:
            log.warning("unreadable session %s: %s", shortened(stored.digest), error)
            publish(UnreadableSession(manager=self.name, handle=stored.handle))
            return Loaded(origin=Origin.UNREADABLE, stored=stored)
        return Loaded(origin=Origin.LIVE, token=token, stored=stored, content=content, at=now)

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

    def _decoded_present(self, row: bytes) -> tuple[StoredSession, Content] | None:
        """The live row of a digest as it is now; never read within a transaction's snapshot."""
        for stored in self.store.load([row]):
            now = self.clock()
            if stored.ended is None and not self._is_expired(stored, now):
                loaded = self._decoded(stored, "", self.publish, now)
                return (stored, loaded.content) if loaded.origin is Origin.LIVE else None
        return None


def _nothing() -> Loaded:
    # Not one shared value: its content is the session's, and changes.
    return Loaded(origin=Origin.NOTHING)
