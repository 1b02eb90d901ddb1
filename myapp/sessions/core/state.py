"""What is known of one session during a request: what was loaded, and what a view wants of it.

A view sees a Session, which stands before this. After a save the row that was written is what
was loaded, and nothing is wanted any more: no fact is kept beside the row.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from myapp.sessions.core.codec import Content
from myapp.sessions.core.discreet import Discreet
from myapp.sessions.core.events import SessionEvent
from myapp.sessions.core.kind import Kind
from myapp.sessions.core.store import StoredSession


class Origin(enum.Enum):
    """What the store had for the client's cookie."""

    NOTHING = enum.auto()
    """No cookie, or a token that opens nothing."""
    LIVE = enum.auto()
    MARKER = enum.auto()
    """A session that was renewed or signed out within the last minute."""
    UNREADABLE = enum.auto()
    AMBIGUOUS = enum.auto()
    """Several live sessions; none of them is used."""
    TOO_MANY = enum.auto()
    """Too many cookies to look up; nothing is saved, and nobody can sign in."""
    ENDED = enum.auto()
    """A session that this very request has ended."""


WITHOUT_END: Final = (Origin.MARKER, Origin.TOO_MANY)
"""Of these there is nothing to end, and nothing new begins after an ending."""


class Loaded(Discreet, msgspec.Struct, frozen=True, kw_only=True):
    """What the store had, or has since the last save."""

    origin: Origin
    token: str | None = None
    row: StoredSession | None = None
    content: Content = msgspec.field(default_factory=Content)
    rivals: tuple[bytes, ...] = ()
    """The digests of the live sessions, none of which is used."""
    touch_due: bool = False
    """Whether the store is to be told that the session is in use."""

    def shown(self) -> str:
        return f"{self.origin.name.lower()}, {self.row!r}"


class SignIn(Discreet, msgspec.Struct, frozen=True, kw_only=True):
    """Who signs in, and when."""

    user_id: str
    generation: bytes | None
    at: int
    again: bool
    """Whether this is the session's own user, who only proves who they are (R9)."""

    def shown(self) -> str:
        return f"of {self.user_id!r}{' again' if self.again else ''}"


class Absorbed(Discreet, msgspec.Struct, frozen=True):
    """Another session whose contents were taken over, to be ended as it was then."""

    row: StoredSession
    before: bytes
    """What our own session held until then, so that it can be done again on a newer row."""
    after: bytes
    """The same with the other's contents."""

    def shown(self) -> str:
        return repr(self.row)


class Intent(Discreet, msgspec.Struct, frozen=True, kw_only=True):
    """What a view wants of its session beside its contents. Each save uses it up."""

    end: str | None = None
    """The reason to end what was loaded; what is wanted besides concerns a new session then."""
    token: str | None = None
    """The token to go on with: a live session that has one here is renewed."""
    handle: str | None = None
    """The handle of a session that is about to begin."""
    sign_in: SignIn | None = None
    deadline: int | None = None
    absorb: tuple[Absorbed, ...] = ()
    end_also: tuple[StoredSession, ...] = ()
    """Sessions that were merged into the one that is ended."""

    def shown(self) -> str:
        return "to end" if self.end else "to renew" if self.token else "to go on"


NOTHING_WANTED: Final = Intent()


class Client(NamedTuple):
    """What is recorded of who made a request."""

    address: str | None = None
    user_agent: str | None = None


NOBODY: Final = Client()


class Source(Protocol):
    """Where a session is loaded from: a request, or a script."""

    def open(self, kind: Kind) -> Loaded:
        """What is stored for this client; asked at the first look and never again."""

    def look_up(self, kind: Kind, token: str) -> Loaded:
        """What is stored for another token."""

    def client(self, kind: Kind) -> Client:
        """Who is there; asked only where a row is about to record it."""

    def publish(self, kind: Kind, event: SessionEvent) -> None:
        """Tell subscribers of what is committed before the response."""


class State(Discreet, msgspec.Struct, eq=False, kw_only=True):
    """One session during one request, as the package knows it."""

    kind: Kind
    source: Source | None
    """None once nothing may be loaded any more."""
    loaded: Loaded | None = None
    """None if nobody has looked at the contents."""
    content: Content = msgspec.field(default_factory=Content)
    intent: Intent = NOTHING_WANTED
    lent: bool = False
    """Whether anything can have changed: by a method, or by who was handed a list, for example."""
    assigned: bool = False
    """Whether a text, a number or the like was assigned, which was checked and can't change."""
    closed: bool = False
    """Whether it was saved, so that a change would be lost."""
    failed: bool = False
    """Whether saving failed: an error page may still show messages and a token."""
    locked: bool = False
    saved_apart: bool = False
    """Whether a block saved it under the lock: an older transaction may not know that row."""
    owes_cookie: bool = False
    """Whether such a block asked for the cookie to be sent."""

    def shown(self) -> str:
        return f"of {self.loaded!r}"

    @property
    def row(self) -> StoredSession | None:
        """The live row that this session goes on from; None if it is new or is to end."""
        loaded = self.loaded
        if loaded is None or loaded.origin is not Origin.LIVE or self.intent.end is not None:
            return None
        return loaded.row

    def want(self, **wishes: object) -> None:
        """Add to what is wanted."""
        self.intent = replace(self.intent, **wishes)
