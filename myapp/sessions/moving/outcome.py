"""What becomes of an old session once the response is known: nothing, unless ours was committed.

Runs as a response callback, after both our tweens and pyramid_tm. First it writes the link, then
deletes the old session, then its cookie: a failure in between signs nobody out.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pyramid.httpexceptions import HTTPException
from pyramid.request import Request
from pyramid.response import Response

from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.core.events import SessionMoved
from myapp.sessions.core.state import Origin, State
from myapp.sessions.moving.links import Arrival, write_link
from myapp.sessions.moving.old import Reader
from myapp.sessions.moving.reading import Unreadable
from myapp.sessions.moving.settings import MovingSettings
from myapp.sessions.web.finish import rendered, will_be_retried
from myapp.sessions.web.scope import Scope, publish

log = logging.getLogger(__name__)

# What is in a pickle may name any module: neither the log nor the memory grows by it without limit.
_MAX_TOLD: Final = 100


@dataclass(slots=True)
class MovingCounts:
    """What this process has seen since it started, by the old library's word."""

    moved: Counter[str] = field(default_factory=Counter)
    """Old sessions that were adopted."""
    late: Counter[str] = field(default_factory=Counter)
    """Requests that bore an old cookie after its session had been adopted or ended."""
    left: Counter[str] = field(default_factory=Counter)
    """Old cookies of sessions that had expired, were empty, or whose user may not sign in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What all requests share during a move."""

    settings: MovingSettings
    readers: Sequence[Reader]
    counts: MovingCounts = field(default_factory=MovingCounts)
    told: set[str] = field(default_factory=set)
    """What the log has said about sessions that can't be read."""

    def tell_once(self, text: str) -> None:
        """Warn, unless it was said before: the same cookie comes with each request."""
        if text not in self.told and len(self.told) < _MAX_TOLD:
            self.told.add(text)
            log.warning("%s (logged once)", text)


@dataclass(slots=True, eq=False)
class Move:
    """One request with an old cookie, and what its source found."""

    parts: Parts
    scope: Scope
    state: State
    arrivals: Sequence[Arrival]
    unread: Sequence[Arrival] = ()
    """Others that can't be read; they stay as they are, unless the user signs out."""
    handle: str | None = None
    """The handle that the adopted session is to have; None if none is adopted here."""
    user_id: str | None = None
    with_user: Sequence[Arrival] = ()
    """Those of the arrivals that say that this user is signed in."""
    is_late: bool = False
    is_decided: bool = False
    """Whether the old sessions could be looked at; else they stay as they are."""


def settle_move(move: Move, request: Request, response: Response) -> None:
    """A response callback: do with the old session what was done with ours."""
    was_saved = move.scope.closed and not move.state.failed
    if not (move.is_decided and was_saved) or will_be_retried(request):
        return
    origin = move.state.loaded.origin if move.state.loaded else Origin.NOTHING
    keeps = move.parts.settings.keep_old
    if origin is Origin.LIVE and _is_adopted(move):
        over, _ = _close(move, move.arrivals, move.handle, keeps=keeps)
        _tell(move, request)
    elif origin is Origin.ENDED or (origin is Origin.LIVE and move.handle is not None):
        # Signed out, or another user's from here on: the old one must not come back.
        everything = [*move.arrivals, *move.unread]
        over, error = _close(move, everything, None, keeps=False)
        if error is not None and origin is Origin.ENDED:
            _refuse(request, response, error)
            return
        if keeps:
            # With the old cookies left as they are, nobody would try again.
            over = everything
        keeps = False
    elif not _is_over(move, origin, response):
        return
    else:
        _count(move)
        keeps = keeps and origin is Origin.LIVE
        over = [] if keeps else _close_late(move, request)
    if not keeps:
        cookies = [value for reader, _ in over for value in reader.deletion(request)]
        response.headerlist.extend(("Set-Cookie", value) for value in cookies)
        response.headers["Cache-Control"] = "no-store"


def _is_adopted(move: Move) -> bool:
    """Whether the session that was stored is the adopted one, and not what a view made of it."""
    row = move.state.loaded.row if move.state.loaded else None
    return (
        row is not None
        and move.handle is not None
        and (row.handle, row.user_id) == (move.handle, move.user_id)
    )


def _is_late(move: Move) -> bool:
    """Whether there was a session of ours, or the old one had been adopted or ended before."""
    return move.is_late or (
        move.state.loaded is not None and move.state.loaded.origin is Origin.LIVE
    )


def _is_over(move: Move, origin: Origin, response: Response) -> bool:
    """Whether the old cookie is of no use any more, though nothing was adopted just now."""
    if origin is Origin.LIVE:
        return True
    if origin is not Origin.NOTHING:
        return False
    if move.handle is None:
        return True
    # Its messages were all that it held, and they were shown.
    return move.state.content.is_empty() and move.user_id is None and response.status < "5"


def _close(
    move: Move, arrivals: Sequence[Arrival], handle: str | None, *, keeps: bool
) -> tuple[list[Arrival], StoreUnavailable | None]:
    """Write what became of old sessions, and delete them.

    Those for which that was written, whose cookies are of no use any more, and the error if there
    are others.
    """
    closed, failed = [], None
    for arrival in arrivals:
        name = arrival[0].name
        try:
            has_user = arrival in move.with_user
            write_link(move.state.kind, arrival, handle, has_user=has_user)
        except StoreUnavailable as error:
            log.warning("an old session of %s was not closed: %s", name, error)
            failed = error
            continue
        closed.append(arrival)
        try:
            if not keeps:
                arrival[0].forget(arrival[1])
        except StoreUnavailable as error:
            # By its link it opens nothing any more.
            log.warning("an old session of %s was not deleted: %s", name, error)
    return closed, failed


def _close_late(move: Move, request: Request) -> list[Arrival]:
    """End what came beside a session of ours, or was not closed in an earlier request, so that a
    copy of its cookie opens nothing, either.

    Those whose cookies are of no use any more. What is not there any more needs no row.
    """
    there: list[Arrival] = []
    over: list[Arrival] = []
    for arrival in move.arrivals:
        try:
            is_there = _is_late(move) and arrival[0].read(request, arrival[1]) is not None
        except StoreUnavailable:
            continue
        except Unreadable:
            is_there = False
        (there if is_there else over).append(arrival)
    closed, _ = _close(move, there, None, keeps=False)
    return [*over, *closed]


def _refuse(request: Request, response: Response, error: StoreUnavailable) -> None:
    """Answer 503 in place of what the view said; our own cookies tell what was done, and stay."""
    answer = rendered(request, error)
    if isinstance(answer, HTTPException):
        answer.prepare(request.environ)
    cookies = [("Set-Cookie", value) for value in response.headers.getall("Set-Cookie")]
    response.status, response.app_iter = answer.status, answer.app_iter
    response.headerlist = [*answer.headerlist, *cookies]


def _tell(move: Move, request: Request) -> None:
    kind = move.state.kind
    for reader, _ in move.arrivals:
        move.parts.counts.moved[reader.name] += 1
        moved = SessionMoved(
            manager=kind.name, handle=move.handle, user_id=move.user_id, kind=reader.name
        )
        publish(request, kind, moved)


def _count(move: Move) -> None:
    counts = move.parts.counts.late if _is_late(move) else move.parts.counts.left
    counts.update(reader.name for reader, _ in move.arrivals)
