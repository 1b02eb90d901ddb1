"""Which stored session a client's tokens open, judged by the clock."""

from __future__ import annotations

import hashlib
import logging
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from myapp.sessions.core.codec import Content
from myapp.sessions.core.errors import UnreadableData
from myapp.sessions.core.events import AmbiguousCookies, UnknownToken, UnreadableSession
from myapp.sessions.core.kind import Kind, Tell, tell
from myapp.sessions.core.lifetime import is_expired, touch_due
from myapp.sessions.core.state import Loaded, Origin
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import digest, shortened

MAX_TOKENS: Final = 32
"""How many different tokens of one cookie name are looked up at most (L5)."""

log = logging.getLogger(__name__)


def nothing() -> Loaded:
    """An empty session. It is not a shared constant, because the session changes its content."""
    return Loaded(origin=Origin.NOTHING)


def load(kind: Kind, tokens: Sequence[str], tell: Tell) -> Loaded:
    """What is stored for the tokens that a client sent, by one look-up at most."""
    if not tokens:
        return nothing()
    if len(tokens) > MAX_TOKENS:
        return _too_many(kind, tell)
    by_digest = {}
    for token in tokens:
        by_digest[digest(kind.name, token)] = token
    rows = kind.store.load([*by_digest])
    now = kind.clock()
    live: list[StoredSession] = []
    markers: list[StoredSession] = []
    for row in rows:
        if not is_expired(now, row, kind.settings.idle_timeout):
            (markers if row.ended else live).append(row)
    if len(live) == 1:
        row = live[0]
        # Nobody lists an anonymous session, and without an idle timeout nothing depends on it.
        counts = kind.settings.idle_timeout is not None or row.user_id is not None
        due = counts and touch_due(now, row.seen_at, kind.settings.touch_interval)
        return _decoded(kind, row, by_digest[row.digest], tell, due)
    if live:
        return _ambiguous(kind, live, tokens, tell)
    if markers:
        return _marked(kind, max(markers, key=lambda row: row.expires_at))
    for key in by_digest:
        fields = {"manager": kind.name, "digest": shortened(key)}
        log.info("unknown session token, digest %s", shortened(key), extra=fields)
    tell(kind, UnknownToken(manager=kind.name))
    return nothing()


def present(kind: Kind, digest: bytes) -> tuple[StoredSession, Content] | None:
    """The live row of a digest and its content, as they are now: never by an old snapshot."""
    for row in kind.store.load([digest]):
        if row.ended is None and not is_expired(kind.clock(), row, kind.settings.idle_timeout):
            loaded = _decoded(kind, row, "", tell)
            return (row, loaded.content) if loaded.origin is Origin.LIVE else None
    return None


def content_of(kind: Kind, row: StoredSession) -> Content | None:
    """The content of a row, for lists; None if it can't be read."""
    loaded = _decoded(kind, row, "", tell)
    return loaded.content if loaded.origin is Origin.LIVE else None


def csrf_of(kind: Kind, row: StoredSession) -> str | None:
    """The CSRF token in a row, if it can be read."""
    try:
        return kind.codec.decode(row.data).csrf
    except UnreadableData:
        return None


def _decoded(
    kind: Kind, row: StoredSession, token: str, tell: Tell, touch_due: bool = False
) -> Loaded:
    try:
        content = kind.codec.decode(row.data)
    except UnreadableData as error:
        fields = {"manager": kind.name, "session": row.handle, "user": row.user_id}
        log.warning("unreadable session %s: %s", shortened(row.digest), error, extra=fields)
        tell(kind, UnreadableSession(manager=kind.name, handle=row.handle))
        return Loaded(origin=Origin.UNREADABLE, row=row)
    return Loaded(origin=Origin.LIVE, token=token, row=row, content=content, touch_due=touch_due)


def _marked(kind: Kind, marker: StoredSession) -> Loaded:
    """A late request sees an empty session, with the CSRF token that its page was given."""
    content = Content(csrf=csrf_of(kind, marker))
    return Loaded(origin=Origin.MARKER, row=marker, content=content)


def _too_many(kind: Kind, tell: Tell) -> Loaded:
    """More cookies than any browser has: nothing is looked up or saved for such a request."""
    name = kind.settings.cookie_name
    words = "a client sent more than %d session cookies named %s"
    log.warning(words, MAX_TOKENS, name, extra={"manager": kind.name})
    tell(kind, AmbiguousCookies(manager=kind.name))
    return Loaded(origin=Origin.TOO_MANY)


def _ambiguous(
    kind: Kind, live: Sequence[StoredSession], tokens: Sequence[str], tell: Tell
) -> Loaded:
    name = kind.settings.cookie_name
    words = "a client sent %d live session cookies named %s"
    log.warning(words, len(live), name, extra={"manager": kind.name})
    tell(kind, AmbiguousCookies(manager=kind.name))
    # The sign-in form, which is the way out, needs a CSRF token that the next request can find,
    # although nothing can be stored. Somebody who knows only one of the cookies can't guess it.
    secret = hashlib.sha256("\0".join(["csrf", *sorted(tokens)]).encode("ascii")).digest()
    return Loaded(
        origin=Origin.AMBIGUOUS,
        content=Content(csrf=urlsafe_b64encode(secret).decode("ascii")),
        rivals=tuple(row.digest for row in live),
    )
