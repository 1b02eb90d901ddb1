"""How a session ends: what is written in its place, and what if another request was faster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from myapp.sessions.core.codec import Content
from myapp.sessions.core.errors import OldSnapshot
from myapp.sessions.core.events import ChangeDropped, SessionEnded
from myapp.sessions.core.kind import Kind
from myapp.sessions.core.lifetime import MARKER_LIFETIME
from myapp.sessions.core.loading import csrf_of
from myapp.sessions.core.saved import NOTHING_SAVED, Saved
from myapp.sessions.core.state import WITHOUT_END, Intent, Loaded, Origin
from myapp.sessions.core.store import Ending, SessionWriter, StoredSession

RENEWALS: Final = 5
"""How often, at most, a session that was renewed just before its end is looked up again."""


def marker(
    kind: Kind, digest: bytes, reason: str, *, csrf: str | None = None, version: int | None = None
) -> Ending:
    """An ending that leaves a marker for a minute, which tells late requests of it (R3)."""
    return Ending(
        digest=digest,
        reason=reason,
        expires_at=kind.clock() + MARKER_LIFETIME,
        data=kind.codec.encode(Content(csrf=csrf)) if csrf else b"",
        version=version,
    )


def digests_of(loaded: Loaded) -> list[bytes]:
    """The rows that a session was loaded from."""
    own = [loaded.row.digest] if loaded.row is not None else []
    return own + list(loaded.rivals)


def ended(kind: Kind, row: StoredSession | None, reason: str) -> SessionEnded:
    """The event of an ending."""
    return SessionEnded(
        manager=kind.name,
        reason=reason,
        handle=row.handle if row else None,
        user_id=row.user_id if row else None,
    )


def end(kind: Kind, loaded: Loaded, intent: Intent, writer: SessionWriter) -> Saved | None:
    """End what was loaded; None if it was ended elsewhere, when no cookie may be touched (S5)."""
    if loaded.origin in WITHOUT_END:
        return NOTHING_SAVED
    reason = intent.end or "invalidated"
    endings = _end_loaded(kind, loaded, writer, reason)
    if endings is None:
        return None
    own = [ended(kind, loaded.row, reason)] if endings else []
    merged = [
        ended(kind, row, "merged")
        for row in intent.end_also
        if writer.end([marker(kind, row.digest, "merged")])
    ]
    return Saved(
        loaded=Loaded(origin=Origin.ENDED),
        deletes_cookie=True,
        events=(*own, *merged),
        endings=tuple(endings),
    )


def dropped(kind: Kind, handle: str | None = None) -> Saved:
    """A change that came too late: nothing is written, and no cookie sent."""
    return Saved(events=(ChangeDropped(manager=kind.name, handle=handle),))


def _end_loaded(
    kind: Kind, loaded: Loaded, writer: SessionWriter, reason: str
) -> list[Ending] | None:
    """End what was loaded, or what it has become; None if it was ended elsewhere."""
    csrf = csrf_of(kind, loaded.row) if loaded.row else None
    endings = [marker(kind, digest, reason, csrf=csrf) for digest in digests_of(loaded)]
    if not endings or writer.end(endings):
        return endings
    return _end_successor(kind, loaded.row, writer, reason) or None


def _end_successor(
    kind: Kind, row: StoredSession | None, writer: SessionWriter, reason: str
) -> list[Ending]:
    """End the session into which another request renewed this one meanwhile, if one did.

    A sign-out means the session, even if it has a new token by now; the handle stays the same.
    """
    if row is None or row.handle is None or reason == "outdated":
        # What is outdated gave way to the session in which the password was changed.
        return []
    for successor in _successors(kind, row.handle):
        if successor.digest == row.digest:
            raise OldSnapshot("the session to be ended")
        ending = marker(kind, successor.digest, reason, csrf=csrf_of(kind, successor))
        if writer.end([ending]):
            return [ending]
    return []


def _successors(kind: Kind, handle: str) -> Iterable[StoredSession]:
    """What bears a handle now, as often as somebody else may have renewed it meanwhile."""
    for _ in range(RENEWALS):
        found = kind.store.find(kind.name, handle)
        if found is None:
            return
        yield found
