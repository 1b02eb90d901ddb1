"""Server-side sessions for Pyramid: `config.include("myapp.sessions")`.

The names in `__all__` and `myapp.sessions.testing` are public; everything else may change. The
package has three parts: `core` defines what a session is, `sql` keeps it in a database, and `web`
connects it to Pyramid.
"""

from myapp.environment import SettingError
from myapp.sessions.core.errors import (
    LockTimeout,
    NotStorable,
    SaveConflict,
    SchemaError,
    SessionClosed,
    SessionError,
    SessionLost,
    SessionTooLarge,
    StoreUnavailable,
    TooManyCookies,
    UnreadableData,
    WrongType,
)
from myapp.sessions.core.events import (
    AmbiguousCookies,
    ChangeDropped,
    ConflictMerged,
    SessionEnded,
    SessionEvent,
    SessionMoved,
    SessionRenewed,
    SessionStarted,
    UnknownToken,
    UnreadableSession,
)
from myapp.sessions.core.manager import SessionInfo, SessionManager, make_manager
from myapp.sessions.core.session import Session, Status
from myapp.sessions.core.state import Client
from myapp.sessions.core.store import Ending, SessionStore, StoredSession
from myapp.sessions.sql import model
from myapp.sessions.web.csrf import SessionCSRFPolicy, UnprovenOrigin
from myapp.sessions.web.include import get_client, get_manager, includeme
from myapp.sessions.web.policy import SessionSecurityPolicy
from myapp.sessions.web.scope import SessionUnavailable

__all__ = [
    "AmbiguousCookies",
    "ChangeDropped",
    "Client",
    "ConflictMerged",
    "Ending",
    "LockTimeout",
    "NotStorable",
    "SaveConflict",
    "SchemaError",
    "Session",
    "SessionCSRFPolicy",
    "SessionClosed",
    "SessionEnded",
    "SessionError",
    "SessionEvent",
    "SessionInfo",
    "SessionLost",
    "SessionManager",
    "SessionMoved",
    "SessionRenewed",
    "SessionSecurityPolicy",
    "SessionStarted",
    "SessionStore",
    "SessionTooLarge",
    "SessionUnavailable",
    "SettingError",
    "Status",
    "StoreUnavailable",
    "StoredSession",
    "TooManyCookies",
    "UnknownToken",
    "UnprovenOrigin",
    "UnreadableData",
    "UnreadableSession",
    "WrongType",
    "get_client",
    "get_manager",
    "includeme",
    "make_manager",
    "model",
]
