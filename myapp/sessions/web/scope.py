"""The sessions that one request uses, and how far the request has come; both are kept only here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from pyramid.httpexceptions import HTTPServiceUnavailable
from pyramid.request import Request

from myapp.sessions.core.discreet import Discreet
from myapp.sessions.core.errors import SessionError, StoreUnavailable
from myapp.sessions.core.events import SessionEvent
from myapp.sessions.core.kind import Kind
from myapp.sessions.core.loading import load, nothing
from myapp.sessions.core.saved import Saved
from myapp.sessions.core.session import Session
from myapp.sessions.core.state import Client, Loaded, State
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import is_token
from myapp.sessions.web.client import client_of
from myapp.sessions.web.cookie import tokens_in
from myapp.sessions.web.late import look_late

SCOPE: Final = "_session_scope"
"""Where a request keeps its scope, in its `__dict__`."""


class SessionUnavailable(HTTPServiceUnavailable, SessionError):  # type: ignore[misc]  # Pyramid has no types
    """The session store does not answer; raised at every use of the session (L8)."""

    def __init__(self, error: StoreUnavailable) -> None:
        super().__init__("Sessions are unavailable at the moment. Please try again shortly.")
        self.headers["Retry-After"] = str(error.retry_after)


class RequestTransaction(Discreet, msgspec.Struct, eq=False):
    """What became of the request's transaction, if pyramid_tm runs one."""

    wrote: bool | None = None
    """Whether it had written anything before its end; None if nobody could tell."""
    committed: bool = False
    saved: dict[str, Saved] = msgspec.field(default_factory=dict)
    """The sessions that were saved within it; valid only if it was committed."""
    ended: set[bytes] = msgspec.field(default_factory=set)
    """The digests of other sessions that were ended within it; valid only if it was committed."""

    def shown(self) -> str:
        return "committed" if self.committed else "not committed"


class Scope(Discreet, msgspec.Struct, eq=False, kw_only=True):
    """One request's sessions. It begins where the request begins: usually in our tween."""

    in_tween: bool = False
    """Whether our tween is going to save them; else a response callback does."""
    within_another: bool = False
    """Whether the request's transaction belongs to somebody else, for example a test."""
    closed: bool = False
    """Whether they were saved: from then on they can be read, but not changed."""
    down: tuple[tuple[Kind, StoreUnavailable], ...] = ()
    """The kinds of session whose store did not answer; the response says so."""
    request: Any = None
    """Set only while there is a session that has not been loaded yet."""
    transaction: RequestTransaction | None = None
    states: dict[str, State] = msgspec.field(default_factory=dict)
    sessions: dict[str, Session] = msgspec.field(default_factory=dict)
    revoked: tuple[tuple[Kind, StoredSession], ...] = ()
    """Other sessions that a view has ended by handle; carried out with the response."""

    def shown(self) -> str:
        return f"of {[*self.states]}"

    def open(self, kind: Kind) -> Loaded:
        """What is stored for the tokens of the request's cookies."""
        environ = self.request.environ
        if self.closed:
            if self._trouble_with(kind):
                # Code that still looks, such as the debug toolbar, finds nothing.
                return nothing()
            look_late(environ)
        loaded = self._load(kind, tokens_in(environ, kind.settings.cookie_name))
        if loaded.touch_due and environ.get("HTTP_SEC_PURPOSE", "").startswith("prefetch"):
            # A browser also prefetches pages, without a user being there (S9).
            return replace(loaded, touch_due=False)
        return loaded

    def look_up(self, kind: Kind, token: str) -> Loaded:
        """What is stored for another token."""
        return self._load(kind, (token,) if is_token(token) else ())

    def _load(self, kind: Kind, tokens: Sequence[str]) -> Loaded:
        if self.down and (error := self._trouble_with(kind)):
            # One request is refused once, however often it looks (L8).
            raise SessionUnavailable(error)
        try:
            return load(kind, tokens, self.publish)
        except StoreUnavailable as error:
            self.down += ((kind, error),)
            raise SessionUnavailable(error) from error

    def _trouble_with(self, kind: Kind) -> StoreUnavailable | None:
        return next((error for down, error in self.down if down is kind), None)

    def client(self, kind: Kind) -> Client:
        """Who made the request, as far as the settings let it be recorded."""
        return client_of(self.request.environ, kind.settings.record_client)

    def publish(self, kind: Kind, event: SessionEvent) -> None:
        """Tell subscribers what happened during this request."""
        publish(self.request, kind, event)


def publish(request: Request, kind: Kind, event: SessionEvent) -> None:
    """Tell subscribers what happened during a request."""
    event.request = request
    kind.publish(event)
