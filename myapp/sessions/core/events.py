"""What happens to sessions, as Pyramid events: `config.add_subscriber(tell, SessionEnded)`.

An event is published once what it tells is committed. None holds a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, kw_only=True)
class SessionEvent:
    """The base of all; subscribe to it to hear every one."""

    manager: str
    """The name of the session manager."""
    request: Any = None
    """The request during which it happened; None outside of one."""
    handle: str | None = None
    """The public name of the session, where there is one."""
    user_id: str | None = None


@dataclass(slots=True, kw_only=True)
class SessionStarted(SessionEvent):
    """A new session was stored."""


@dataclass(slots=True, kw_only=True)
class SessionRenewed(SessionEvent):
    """A session continues under a new token."""

    signed_in: bool = False
    """Whether that was by signing in."""


@dataclass(slots=True, kw_only=True)
class SessionEnded(SessionEvent):
    """A session was ended.

    The reasons: `invalidated`, `signed_out`, `outdated` (for example, the user's password was
    changed), `revoked`, `limit`, `merged`, `replaced`.
    """

    reason: str


@dataclass(slots=True, kw_only=True)
class SessionMoved(SessionEvent):
    """An old session of another library was adopted, by `myapp.sessions.moving`.

    It follows the SessionStarted of the new session.
    """

    kind: str
    """The name of the old library, as in `moving.from`."""


@dataclass(slots=True, kw_only=True)
class ConflictMerged(SessionEvent):
    """Another request had changed the session meanwhile; both changes are stored."""


@dataclass(slots=True, kw_only=True)
class ChangeDropped(SessionEvent):
    """The session was ended elsewhere before this request could save its change."""


@dataclass(slots=True, kw_only=True)
class UnknownToken(SessionEvent):
    """A well-formed token that opens nothing: never issued, expired, ended or swept."""


@dataclass(slots=True, kw_only=True)
class AmbiguousCookies(SessionEvent):
    """The client sent the tokens of several live sessions, or too many to look up; none of them
    is used (L5).
    """


@dataclass(slots=True, kw_only=True)
class UnreadableSession(SessionEvent):
    """The serializer can't read the stored data; the client gets an empty session."""
