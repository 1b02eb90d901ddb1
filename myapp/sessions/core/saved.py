"""What a save did. The cookie, the events and the session's new state all come from this record."""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from myapp.sessions.core.discreet import Discreet
from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.core.events import ChangeDropped, SessionEnded, SessionEvent
from myapp.sessions.core.kind import Kind, Tell
from myapp.sessions.core.merge import bring_up_to_date
from myapp.sessions.core.state import NOTHING_WANTED, Intent, Loaded, State
from myapp.sessions.core.store import Ending, StoredSession

log = logging.getLogger(__name__)


class Saved(Discreet, msgspec.Struct, frozen=True, kw_only=True):
    """What a save did, told by the row that it has written."""

    loaded: Loaded | None = None
    """What is stored now; None if nothing was written."""
    sets_cookie: bool = False
    """Whether the client is to be told the token, or how long its cookie lasts."""
    deletes_cookie: bool = False
    signed_in: bool = False
    events: tuple[SessionEvent, ...] = ()
    endings: tuple[Ending, ...] = ()
    """What was ended, to be looked for where a commit's answer was lost."""
    left: Intent = NOTHING_WANTED
    """What was wanted and is still to be done."""

    def shown(self) -> str:
        return f"{self.row!r}, {len(self.endings)} ended"

    @property
    def row(self) -> StoredSession | None:
        """The row that was written."""
        return self.loaded.row if self.loaded is not None else None

    @property
    def was_dropped(self) -> bool:
        """Whether the change came too late, and nothing was written in its place (S5)."""
        return self.loaded is None and any(isinstance(e, ChangeDropped) for e in self.events)

    def then(self, later: Saved) -> Saved:
        """This and what was done after it; a new cookie goes out instead of a deletion (R2)."""
        if self is NOTHING_SAVED or later is NOTHING_SAVED:
            return later if self is NOTHING_SAVED else self
        return Saved(
            loaded=later.loaded or self.loaded,
            sets_cookie=later.sets_cookie or (self.sets_cookie and not later.deletes_cookie),
            deletes_cookie=later.deletes_cookie or (self.deletes_cookie and not later.sets_cookie),
            signed_in=self.signed_in or later.signed_in,
            events=(*self.events, *later.events),
            endings=(*self.endings, *later.endings),
            left=later.left,
        )


NOTHING_SAVED: Final = Saved()


def settle(state: State, saved: Saved) -> None:
    """Let a session continue from what was written."""
    if saved.loaded is None:
        return
    if saved.loaded.content is not state.content:
        bring_up_to_date(state.content, saved.loaded.content)
    state.loaded, state.intent = saved.loaded, saved.left


def follow_up(kind: Kind, saved: Saved, tell: Tell) -> None:
    """What comes after each save that is committed: tell of it, and limit a user's sessions."""
    for event in saved.events:
        tell(kind, event)
    row = saved.row
    if saved.signed_in and row is not None and row.user_id is not None:
        _limit_sessions(kind, row.user_id, tell)


def _limit_sessions(kind: Kind, user_id: str, tell: Tell) -> None:
    """End the oldest sessions of a user beyond `max_per_user` (R8).

    If this fails, no harm is done: the next sign-in does it again.
    """
    keep = kind.settings.max_per_user
    if keep is None:
        return
    try:
        count = kind.store.end_oldest(kind.name, user_id, keep, kind.clock())
    except StoreUnavailable as error:
        log.info("the sessions of a user were not limited: %s", error)
        return
    for _ in range(count):
        tell(kind, SessionEnded(manager=kind.name, reason="limit", user_id=user_id))
