"""Where a session comes from during a move: from our own store or, if not there, an old session.

An old session becomes a new one of ours, which the normal path saves. This module only says what
it holds; nothing is written before the response is known.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from pyramid.interfaces import ISecurityPolicy
from pyramid.request import Request

from myapp.sessions.core.codec import Content, Proof
from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.core.events import SessionEvent
from myapp.sessions.core.kind import Kind
from myapp.sessions.core.lifetime import SECOND, is_expired
from myapp.sessions.core.loading import content_of as content_of_row
from myapp.sessions.core.loading import nothing
from myapp.sessions.core.session import Session
from myapp.sessions.core.state import Client, Loaded, Origin, State
from myapp.sessions.core.token import new_handle, new_token
from myapp.sessions.core.user import user_name
from myapp.sessions.moving.contents import content_of, user_of
from myapp.sessions.moving.links import GRACE, Arrival, Found, find_link
from myapp.sessions.moving.old import Old, Reader
from myapp.sessions.moving.outcome import Move, Parts, settle_move
from myapp.sessions.moving.reading import Unreadable, unreadable
from myapp.sessions.web.policy import SessionSecurityPolicy
from myapp.sessions.web.scope import Scope, SessionUnavailable

log = logging.getLogger(__name__)

METHOD: Final = "moved"
"""What `session.method` says of a user who was signed in before the move."""


class MovingSource:
    """A request's source of its session, in place of the scope, which it asks first."""

    def __init__(self, request: Request, scope: Scope, state: State, parts: Parts) -> None:
        self._request, self._scope, self._state, self._parts = request, scope, state, parts
        self._asked = False

    def open(self, kind: Kind) -> Loaded:
        """What is stored for the request's cookies, ours or old ones."""
        loaded = self._scope.open(kind)
        if self._asked or self._scope.closed:
            return loaded
        self._asked = True
        arrivals = list(_arrivals(self._request, self._parts.readers))
        if not arrivals:
            return loaded
        move = Move(self._parts, self._scope, self._state, tuple(arrivals))
        self._request.add_response_callback(partial(settle_move, move))
        try:
            if loaded.origin is Origin.NOTHING:
                loaded = self._arrive(kind, move) or loaded
            move.is_decided = True
        except Unreadable:
            pass
        except StoreUnavailable as error:
            self._scope.down += ((kind, error),)
            raise SessionUnavailable(error) from error
        return loaded

    def look_up(self, kind: Kind, token: str) -> Loaded:
        """What is stored for another token."""
        return self._scope.look_up(kind, token)

    def client(self, kind: Kind) -> Client:
        """Who made the request."""
        return self._scope.client(kind)

    def publish(self, kind: Kind, event: SessionEvent) -> None:
        """Tell subscribers what happened during this request."""
        self._scope.publish(kind, event)

    def _arrive(self, kind: Kind, move: Move) -> Loaded | None:
        found = self._find(kind, move)
        if found is None:
            read = self._read(move)
            if olds := [(each, old) for each, old in read if old and self._is_recent(old)]:
                return self._adopt(kind, move, olds)
            # A faster request has written the link before it deleted the old session.
            found = self._find(kind, move)
        elif found.link.handle is not None and not found.link.has_user:
            adopted = self._adopt_user(kind, move, found.missing)
            if adopted is not None:
                return adopted
        move.is_late = found is not None
        return None if found is None else self._follow(kind, found)

    def _find(self, kind: Kind, move: Move) -> Found | None:
        """What is on record of them; leaves out of the move those whose record can't be read.

        Nobody knows whether such a one was signed out. Raises Unreadable if nothing is left.
        """
        found, damaged = find_link(kind, move.arrivals)
        for (reader, _), error in damaged:
            self._parts.tell_once(str(unreadable(reader.name, error, "what became of ")))
        self._leave_out(move, [arrival for arrival, _ in damaged])
        return found

    def _read(self, move: Move) -> list[tuple[Arrival, Old | None]]:
        """What the old stores hold; leaves out of the move what can't be read.

        Raises Unreadable if nothing is left.
        """
        read: list[tuple[Arrival, Old | None]] = []
        damaged: list[Arrival] = []
        for reader, key in move.arrivals:
            try:
                read.append(((reader, key), reader.read(self._request, key)))
            except Unreadable as error:
                self._parts.tell_once(str(error))
                damaged.append((reader, key))
        self._leave_out(move, damaged)
        return read

    def _leave_out(self, move: Move, damaged: Sequence[Arrival]) -> None:
        if len(damaged) == len(move.arrivals):
            raise Unreadable
        move.unread = [*move.unread, *damaged]
        move.arrivals = [each for each in move.arrivals if each not in damaged]

    # One that was adopted before.

    def _follow(self, kind: Kind, found: Found) -> Loaded | None:
        """The session that an old one has become, for a request that still bears the old cookie."""
        link, since = found.link, found.since
        row = None if link.handle is None else kind.store.find(kind.name, link.handle)
        if row is None or is_expired(kind.clock(), row, kind.settings.idle_timeout):
            return None
        if row.user_id is not None and not link.has_user:
            # The user came by another cookie, or signed in since.
            return None
        if kind.clock() - since > GRACE:
            if found.twice:
                # Its browser may have the other session, and may have signed out there.
                return None
            if row.user_id is None and kind.settings.idle_timeout is None:
                # Such a session is never touched, so nobody knows whether its browser uses it.
                return None
            if row.seen_at > since + GRACE:
                # Its browser has the new cookie, so this is somebody else, or an old copy.
                return None
            # The response that bore the new cookie was lost.
            self._state.want(token=new_token())
        content = content_of_row(kind, row)
        return None if content is None else Loaded(origin=Origin.LIVE, row=row, content=content)

    # One that was not.

    def _is_recent(self, old: Old) -> bool:
        moment = self._parts.settings.began_after
        return moment is None or (old.created is not None and old.created * SECOND >= moment)

    def _adopt(self, kind: Kind, move: Move, read: Sequence[tuple[Arrival, Old]]) -> Loaded | None:
        """A new session with what the old one held, and its user."""
        olds = [old for _, old in read]
        content = content_of(kind.codec, olds)
        user_key = self._parts.settings.user_key
        user_id = _user_id(found := user_of(olds, user_key))
        allowed, generation = _generation(self._request, user_id)
        if not allowed or (user_id is None and content.is_empty()):
            # Of no worth, or of a user who may not sign in any more.
            return None
        state = self._state
        state.loaded, state.content, state.lent = nothing(), content, True
        if user_id is None:
            state.want(handle=new_handle(kind.clock()))
        else:
            self._sign_in(content, user_id, generation, olds)
        move.handle, move.user_id = state.intent.handle, user_id
        if user_id is not None:
            move.with_user = [each for each, old in read if user_of([old], user_key) == found]
        return Loaded(origin=Origin.NOTHING, content=content)

    def _adopt_user(self, kind: Kind, move: Move, arrivals: Sequence[Arrival]) -> Loaded | None:
        """A new session with the user of old ones that did not come along when the others were
        adopted, such as a ticket; None if they have none.
        """
        read: list[tuple[Arrival, Old]] = []
        for reader, key in arrivals:
            with suppress(Unreadable):
                old = reader.read(self._request, key)
                if old is not None and self._is_recent(old):
                    read.append(((reader, key), old))
        if user_of([old for _, old in read], self._parts.settings.user_key) is None:
            return None
        adopted = self._adopt(kind, move, read)
        if adopted is not None:
            move.arrivals = [each for each, _ in read]
        return adopted

    def _sign_in(
        self, content: Content, user_id: str, generation: bytes | None, olds: Sequence[Old]
    ) -> None:
        """Sign the user in as everybody is; but forms in other tabs go on, and nobody has proved
        just now who they are.
        """
        csrf = content.csrf
        Session(self._state).sign_in(user_id, generation=generation, method=METHOD)
        content.csrf = csrf or content.csrf
        began = [int(old.created * SECOND) for old in olds if old.created]
        content.proof = Proof(min(began, default=0), METHOD)


def _arrivals(request: Request, readers: Sequence[Reader]) -> list[Arrival]:
    """The old sessions that a request names by genuine cookies."""
    header = request.environ.get("HTTP_COOKIE") or ""
    named = [reader for reader in readers if reader.cookie_name in header]
    return [(reader, key) for reader in named if (key := reader.key(request)) is not None]


def _user_id(found: object) -> str | None:
    if found is None:
        return None
    try:
        return user_name(found)
    except (TypeError, ValueError) as error:
        log.warning("the user of an old session was not signed in: %s", error)
        return None


def _generation(request: Request, user_id: str | None) -> tuple[bool, bytes | None]:
    """Whether the user may sign in, and their generation, as far as our policy knows (R7)."""
    policy: Any = request.registry.queryUtility(ISecurityPolicy)
    if user_id is None or not isinstance(policy, SessionSecurityPolicy):
        return True, None
    user = policy.user(request, user_id)
    return user is not None, None if user is None else policy.generation(user)
