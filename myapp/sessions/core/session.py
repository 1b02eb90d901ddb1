"""The dictionary that a view sees. It reads nothing and writes nothing itself.

Every look at its contents passes through `_open`, which asks the backing for the stored
session once. What a view wants of it is kept here as intent, and the manager carries it out.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import (
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar, overload
from uuid import UUID

import msgspec
from msgspec.structs import replace
from pyramid.interfaces import ISession
from zope.interface import implementer

from myapp.sessions.core.codec import Codec, Content
from myapp.sessions.core.errors import SessionClosed, SessionError, WrongType
from myapp.sessions.core.lifetime import SECOND, Clock, from_datetime, to_datetime
from myapp.sessions.core.settings import MAX_LIFETIME, SessionSettings
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import new_handle, new_token

T = TypeVar("T")

MAX_USER_ID: Final = 255
MAX_REASON: Final = 16
_MISSING: Final = object()
_BUILTIN: Final = (bytes, bytearray, memoryview)
_UNCHANGEABLE: Final = frozenset({str, int, float, bool, bytes, type(None)})


class Status(enum.StrEnum):
    """What a session is about to become, as scs has it."""

    UNMODIFIED = "unmodified"
    MODIFIED = "modified"
    ENDED = "ended"


class Origin(enum.Enum):
    """What the store had for the client's cookie."""

    NOTHING = enum.auto()
    """No cookie, or a token that opens nothing."""
    LIVE = enum.auto()
    MARKER = enum.auto()
    """A session that was renewed or signed out within the last minute."""
    UNREADABLE = enum.auto()
    AMBIGUOUS = enum.auto()
    """Several live sessions, of which none is taken."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a session's first access."""

    origin: Origin
    token: str | None = None
    stored: StoredSession | None = None
    content: Content = msgspec.field(default_factory=Content)
    rivals: tuple[bytes, ...] = ()
    """The digests of the live sessions of which none was taken."""
    at: int = 0
    """When a live one was loaded."""

    def __repr__(self) -> str:
        # The token is never shown (R6).
        return f"<Loaded {self.origin.name.lower()}, {self.stored!r}>"


class Kind(Protocol):
    """What a session needs to know of its manager."""

    settings: SessionSettings
    codec: Codec
    clock: Clock


class Backing(Protocol):
    """What stands behind a session, for one request or outside of any."""

    @property
    def manager(self) -> Kind:
        """The kind of session that this is."""

    def open(self) -> Loaded:
        """What is stored for this client; asked at the first access and never again."""

    def close(self) -> None:
        """Nothing will be asked any more."""

    def look_up(self, token: str) -> Loaded:
        """What is stored for another token of the same manager."""

    def lock(self, session: Session, timeout: float) -> AbstractContextManager[None]:
        """Hold the session's lock; reload it when that is had, and save it before it is given
        back."""


@implementer(ISession)
class Session:
    """A session: a dictionary, with flash messages, a CSRF token and a life of its own.

    Keys are texts. A value is stored only if it comes back equal (tuples come back as lists);
    another raises NotStorable where it is assigned. A change inside a value is noticed.
    """

    __hash__ = None  # type: ignore[assignment]  # it compares by contents, as a dict does

    # What a request wants of it. Most want nothing, so that these cost nothing to begin with.
    absorbed: tuple[bytes, ...] = ()
    ending: str | None = None
    renewing = False
    signing_in = False
    started_over = False
    locked = False
    lent = False
    """Whether anything can have changed: by a method, or by who was handed a list, say."""
    assigned = False
    """Whether a text, a number or the like was assigned, which was checked and can't change."""
    resend_cookie = False
    _closed = False
    _failed = False
    loaded: Loaded | None = None
    """What was loaded; None if nobody has looked at the contents."""
    _content: Content
    _deadline: int | None = None
    _user_id: str | None = None
    _generation: bytes | None = None
    _handle: str | None = None
    _token: str | None = None

    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    # The one way in.

    def _seen(self) -> Content:
        """The contents, loaded at the first access, for who changes nothing and lends nothing.

        Raises what the store raises.
        """
        if self.loaded is None:
            self._open()
        return self._content

    def _opened(self) -> Content:
        """The contents, of which the caller may change something, or hand it out."""
        self.lent = True
        return self._seen()

    def _open(self) -> None:
        if self._closed and not self._failed:
            raise SessionClosed(
                "the session was first used after its response was decided: in a streamed body, a"
                " response callback or a subscriber, perhaps; use it in the view once"
            )
        if self._closed:
            # The store was down, which the client was told. Whoever still looks, the debug
            # toolbar say, finds nothing, and nothing is saved of it.
            self._adopt(Loaded(origin=Origin.NOTHING))
            return
        self._failed = True
        self._adopt(self._backing.open())
        self._failed = False

    def _adopt(self, loaded: Loaded) -> None:
        self.loaded, self._content = loaded, loaded.content
        stored = loaded.stored
        if stored is not None and loaded.origin is Origin.LIVE:
            self._user_id, self._generation = stored.user_id, stored.generation
            self._handle = stored.handle

    def _changing(self, *, lends: bool = True) -> Content:
        """The contents, about to be changed; `lends` is False for who knows all that changes."""
        content = self._seen()
        if self._closed:
            raise SessionClosed("the session was changed after it was saved; it would be lost")
        if lends:
            self.lent = True
        return content

    # The dictionary.

    def __getitem__(self, key: str) -> Any:
        value = self._seen().values[key]
        if type(value) not in _UNCHANGEABLE:
            self.lent = True
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self._backing.manager.codec.check(key, value)
        plain = type(value) in _UNCHANGEABLE
        self._changing(lends=not plain).values[key] = value
        if plain:
            self.assigned = True

    def __delitem__(self, key: str) -> None:
        del self._changing().values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._seen().values

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen().values)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._seen().values)

    def __len__(self) -> int:
        return len(self._seen().values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Session):
            return self._opened().values == other._opened().values
        if isinstance(other, Mapping):
            return self._opened().values == other
        return NotImplemented

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(other, Mapping | Session):
            return NotImplemented
        return self._opened().values | dict(other)

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(other, Mapping | Session):
            return NotImplemented
        return dict(other) | self._opened().values

    def __ior__(self, other: Any) -> Session:  # type: ignore[misc]  # as dict's: takes pairs too
        self.update(other)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        value = self._seen().values.get(key, default)
        if type(value) not in _UNCHANGEABLE:
            self.lent = True
        return value

    def keys(self) -> KeysView[str]:
        """A live view of the keys, as a dict's."""
        return self._opened().values.keys()

    def values(self) -> ValuesView[Any]:
        """A live view of the values, as a dict's."""
        return self._opened().values.values()

    def items(self) -> ItemsView[str, Any]:
        """A live view of keys and values, as a dict's."""
        return self._opened().values.items()

    def copy(self) -> dict[str, Any]:
        """A plain dict with the same keys and values."""
        return self._opened().values.copy()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which becomes `default` if there is none."""
        values = self._opened().values
        if key not in values:
            self[key] = default
        return values[key]

    def update(
        self, other: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any
    ) -> None:
        """Take keys and values over: all of them, or none if one can't be stored."""
        news = dict(other, **more)
        for key, value in news.items():
            self._backing.manager.codec.check(key, value)
        self._changing().values.update(news)

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove a key and give its value."""
        values = self._changing().values
        return values.pop(key) if default is _MISSING else values.pop(key, default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the key added last, and give it and its value."""
        return self._changing().values.popitem()

    def clear(self) -> None:
        """Remove all keys; the session, its user and its flash messages stay."""
        self._changing().values.clear()

    def __repr__(self) -> str:
        if self.loaded is None:
            return "<Session, not loaded>"
        origin = self.loaded.origin.name.lower()
        return f"<Session {self._handle} from {origin}, {len(self._content.values)} keys>"

    @overload
    def get_as(self, key: str, type: type[T]) -> T | None: ...
    @overload
    def get_as(self, key: str, type: type[T], default: T) -> T: ...

    def get_as(self, key: str, type: Any, default: Any = None) -> Any:
        """The value of a key as this type, or `default` if there is no such key.

        Any type that msgspec converts to: int, datetime, UUID, list[int], a dataclass … A value
        of another type raises WrongType.
        """
        values = self._opened().values
        if key not in values:
            return default
        try:
            # A text is no bytes, though msgspec would take it for their base64.
            return msgspec.convert(values[key], type, builtin_types=_BUILTIN)
        except msgspec.ValidationError as error:
            raise WrongType(key, type, str(error)) from error

    # Pyramid's ISession beyond the dictionary.

    @property
    def created(self) -> int:
        """When the session began, in whole seconds since 1970."""
        self._seen()
        stored = self.stored
        return (stored.created_at if stored else self._backing.manager.clock()) // SECOND

    @property
    def new(self) -> bool:
        """Whether nothing is stored of this session yet."""
        self._seen()
        return self.stored is None

    def changed(self) -> None:
        """Nothing: changes are noticed, nested ones too."""

    def invalidate(self) -> None:
        """End this session; what is set from here on goes into a new one."""
        self._end("invalidated")

    def flash(self, msg: Any, queue: str = "", allow_duplicate: bool = True) -> None:
        """Push a message onto a queue, for a later page to show."""
        if not isinstance(queue, str):
            raise TypeError(f"a flash queue is a str, not {queue!r}")
        self._backing.manager.codec.check(f"flash {queue}".strip(), msg)
        messages = self._changing().flash.setdefault(queue, [])
        stored = self._backing.manager.codec.as_stored(msg)
        if allow_duplicate or stored not in [message for _, message in messages]:
            messages.append([secrets.token_urlsafe(6), stored])

    def pop_flash(self, queue: str = "") -> list[Any]:
        """Remove and give the messages of a queue."""
        if queue not in self._seen().flash:
            return []
        return [message for _, message in self._changing().flash.pop(queue)]

    def peek_flash(self, queue: str = "") -> list[Any]:
        """The messages of a queue, which stay there."""
        return [message for _, message in self._opened().flash.get(queue, [])]

    def new_csrf_token(self) -> str:
        """Set and give a new CSRF token."""
        token = secrets.token_urlsafe(24)
        self._changing().csrf = token
        return token

    def get_csrf_token(self) -> str:
        """The CSRF token, a new one if there is none."""
        return self._seen().csrf or self.new_csrf_token()

    @property
    def csrf_token(self) -> str | None:
        """The CSRF token, None if there is none: a look that never makes one."""
        return self._seen().csrf

    # The session's life.

    @property
    def token(self) -> str:
        """The secret in the cookie, or the one that the cookie will hold. Never log it."""
        self._seen()
        if self._token is None and self.loaded is not None and self.stored is not None:
            return self.loaded.token or ""
        if self._token is None:
            self._token = new_token()
        return self._token

    @property
    def handle(self) -> str:
        """The public name of this session, for lists and links."""
        self._seen()
        if self._handle is None:
            self._handle = new_handle()
        return self._handle

    @property
    def status(self) -> Status:
        """Whether this session is about to be changed, ended or neither."""
        content = self._opened()
        if self.ending is not None:
            return Status.ENDED
        return Status.MODIFIED if self._is_modified(content) else Status.UNMODIFIED

    @property
    def deadline(self) -> datetime:
        """When this session ends at the latest. Assign an aware datetime to move it."""
        self._seen()
        return to_datetime(self.deadline_at)

    @deadline.setter
    def deadline(self, when: datetime) -> None:
        moment = from_datetime(when)
        left = moment - self._backing.manager.clock()
        if not 0 < left <= MAX_LIFETIME:
            raise ValueError(f"a deadline lies within the next 400 days, {when} does not")
        self._changing()
        self._deadline = moment

    def remember_me(self, remember: bool) -> None:
        """Keep this session's cookie when the browser is closed, or don't."""
        self._changing().remember = bool(remember)

    def renew(self) -> None:
        """Go on with the same data under a new token, which voids the old one."""
        self._changing()
        self.renewing = True
        self._token = new_token()

    def merge(self, token: str) -> bool:
        """Take over the contents of another session and end it; its values win over ours.

        Whether there was such a session. Neither its user nor its deadline is taken over, and a
        session of another user is refused with SessionError.
        """
        content = self._changing()
        other = self._backing.look_up(token)
        stored = other.stored
        if other.origin is not Origin.LIVE or stored is None:
            return False
        # Its row may have been saved or touched by another request since we loaded it.
        if self.stored is not None and stored.digest == self.stored.digest:
            return False
        if stored.digest in self.absorbed:
            return False
        if stored.user_id is not None and stored.user_id != self._user_id:
            raise SessionError("a session of another user can't be merged into this one")
        content.values.update(other.content.values)
        for queue, messages in other.content.flash.items():
            content.flash.setdefault(queue, []).extend(messages)
        self.absorbed += (stored.digest,)
        return True

    @contextmanager
    def lock(self, timeout: float = 10) -> Iterator[Session]:
        """Run a block while no other request runs one on the same session.

        Inside, the session is as stored now, with what this request has changed so far; changes
        of the block are stored at its end, whatever becomes of the request. An error leaves them
        to the end of the request. Raises LockTimeout after `timeout` seconds, and SessionLost if
        the session was ended meanwhile. Nobody waits who does not ask for the lock; a process that
        dies holds it for 30 seconds, which is also the longest that a block may take.

        Take it before the request's own transaction has written to the same SQLite file.
        """
        self._changing()
        if self.renewing or self.ending is not None or self.locked:
            raise SessionError("lock a session before it is renewed or ended, and once at a time")
        self.locked = True
        try:
            with self._backing.lock(self, timeout):
                yield self
        finally:
            self.locked = False

    # The user.

    @property
    def user_id(self) -> str | None:
        """Who is signed in; changed by `sign_in` and `sign_out` alone."""
        if self.loaded is None:
            self._open()
        return self._user_id

    @property
    def generation(self) -> bytes | None:
        """The user's security generation at sign-in."""
        self._seen()
        return self._generation

    def sign_in(self, user_id: str | int | UUID, *, generation: bytes | None = None) -> None:
        """Make this the session of a user, under a new token and with a new lifetime.

        What an anonymous visitor had put into it stays; what another user had does not.
        """
        if isinstance(user_id, bool) or not isinstance(user_id, str | int | UUID):
            raise TypeError(f"a user id is a str, an int or a UUID, not {user_id!r}")
        name = str(user_id)
        if not name or len(name) > MAX_USER_ID or not name.isprintable():
            raise ValueError(f"a user id is printable text of 1 to {MAX_USER_ID} characters")
        content = self._changing()
        if self._user_id not in (None, name):
            self._content = content = Content()
            self.started_over = True
        content.csrf = secrets.token_urlsafe(24)
        self._deadline = self._backing.manager.clock() + self._backing.manager.settings.lifetime
        self._token = new_token()
        if self._user_id != name or self.stored is None:
            # A user who only proves who they are again keeps the name in the list of devices.
            self._handle = new_handle()
        self._user_id, self._generation = name, generation
        self.renewing = self.signing_in = True

    def sign_out(self, reason: str = "signed_out") -> None:
        """End this session because its user leaves, or for another reason of 16 letters at most."""
        if not 0 < len(reason) <= MAX_REASON:
            raise ValueError(f"a reason has 1 to {MAX_REASON} characters, not {reason!r}")
        self._end(reason)

    def _end(self, reason: str) -> None:
        self._changing()
        self.ending = reason
        self._content = Content()
        self._user_id = self._generation = self._deadline = None
        self._token = self._handle = None
        self.renewing = self.signing_in = False

    # For the manager.

    def rebase(self, stored: StoredSession, content: Content) -> None:
        """Go on from another row of the same session, with this content."""
        if self.loaded is not None:
            self.loaded = replace(self.loaded, stored=stored)
            self._content = content

    def rename(self) -> None:
        """Go on under a new handle: this is not the session that was loaded any more."""
        self._handle = new_handle()

    @property
    def stored(self) -> StoredSession | None:
        """The row that this session goes on from; None for one that is new or was ended."""
        loaded = self.loaded
        if loaded is None or loaded.origin is not Origin.LIVE or self.ending is not None:
            return None
        return loaded.stored

    @property
    def content(self) -> Content:
        """What the session holds now."""
        return self._seen()

    @property
    def deadline_at(self) -> int:
        """The deadline as a moment in milliseconds."""
        if self._deadline is not None:
            return self._deadline
        if self.stored is not None:
            return self.stored.deadline
        return self._backing.manager.clock() + self._backing.manager.settings.anonymous_lifetime

    @property
    def deadline_moved(self) -> bool:
        """Whether the deadline was assigned during this request."""
        return self._deadline is not None

    @property
    def must_be_written(self) -> bool:
        """Whether the row of a live session is to be written though its contents stay."""
        return self.renewing or self.deadline_moved or bool(self.absorbed)

    def _is_modified(self, content: Content) -> bool:
        stored = self.stored
        if stored is None:
            return not content.is_empty() or self.signing_in
        return self.must_be_written or self._backing.manager.codec.encode(content) != stored.data

    def close(self) -> None:
        """From here on the session can be read, if it was loaded, and not changed."""
        self._closed = True
        self._backing.close()


# So that `isinstance(session, Mapping)`, Jinja's `is mapping` and `match` know it for a mapping.
MutableMapping.register(Session)
