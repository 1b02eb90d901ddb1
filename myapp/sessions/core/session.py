"""The dictionary that a view sees. It reads nothing and writes nothing itself.

Every look at its contents passes through `_load`, which asks the source for the stored session
once. What a view wants of it is noted in its state, and a save carries it out.
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
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime
from typing import Any, Final, TypeVar, overload
from uuid import UUID

import msgspec

from myapp.sessions.core.codec import UNCHANGEABLE, Content, Proof
from myapp.sessions.core.errors import SessionClosed, SessionError, TooManyCookies, WrongType
from myapp.sessions.core.lifetime import SECOND, from_datetime, to_datetime
from myapp.sessions.core.loading import MAX_TOKENS
from myapp.sessions.core.locking import hold
from myapp.sessions.core.merge import together
from myapp.sessions.core.settings import MAX_LIFETIME
from myapp.sessions.core.state import Absorbed, Intent, Origin, SignIn, State
from myapp.sessions.core.token import new_csrf_token, new_handle, new_token
from myapp.sessions.core.user import (
    checked_generation,
    checked_method,
    checked_reason,
    user_name,
)

T = TypeVar("T")

_MISSING: Final = object()
_BUILTIN: Final = (bytes, bytearray, memoryview)


class Status(enum.StrEnum):
    """What a session is about to become, as scs has it."""

    UNMODIFIED = "unmodified"
    MODIFIED = "modified"
    ENDED = "ended"


class Session(MutableMapping[str, Any]):
    """A session: a dictionary, with flash messages, a CSRF token and a life of its own.

    Keys are texts. A value is stored only if it comes back equal (tuples come back as lists);
    another raises NotStorable where it is assigned. A change inside a value is noticed.
    """

    __slots__ = ("_state",)

    __hash__ = None  # type: ignore[assignment]  # it compares by contents, as a dict does

    def __init__(self, state: State) -> None:
        self._state = state

    # The one way in.

    def _load(self) -> Content:
        """The contents, read at the first look. Raises what the store raises."""
        state = self._state
        if state.source is None:
            raise SessionClosed(
                "the session was first used after its response was decided, perhaps in a streamed"
                " body, a response callback or a subscriber: use it once in the view"
            )
        state.loaded = state.source.open(state.kind)
        state.content = state.loaded.content
        return state.content

    def _seen(self) -> Content:
        """The contents, for who changes nothing and lends nothing."""
        state = self._state
        return state.content if state.loaded is not None else self._load()

    def _opened(self) -> Content:
        """The contents, of which the caller may hand something out."""
        self._state.lent = True
        return self._seen()

    def _changing(self, *, lends: bool = True) -> Content:
        """The contents, about to be changed; `lends` is False for who knows all that changes."""
        content = self._seen()
        if self._state.closed:
            raise SessionClosed("the session was changed after it was saved; it would be lost")
        if lends:
            self._state.lent = True
        return content

    # The dictionary.

    def __getitem__(self, key: str) -> Any:
        value = self._seen().values[key]
        if type(value) not in UNCHANGEABLE:
            self._state.lent = True
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        plain = type(value) in UNCHANGEABLE
        values = self._changing(lends=not plain).values
        self._state.kind.codec.check(key, value)
        values[key] = value
        if plain:
            self._state.assigned = True

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
        if type(value) not in UNCHANGEABLE:
            self._state.lent = True
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

    def update(  # type: ignore[override]  # as dict's, whose many signatures are this one
        self, other: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any
    ) -> None:
        """Take keys and values over: all of them, or none if one can't be stored."""
        news = dict(other, **more)
        for key, value in news.items():
            self._state.kind.codec.check(key, value)
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
        loaded = self._state.loaded
        if loaded is None:
            return "<Session, not loaded>"
        row = self._state.row
        origin, handle = (
            loaded.origin.name.lower(),
            self._state.intent.handle or (row and row.handle),
        )
        return f"<Session {handle} from {origin}, {len(self._state.content.values)} keys>"

    def __copy__(self) -> dict[str, Any]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return deepcopy(self._opened().values, memo)

    def __json__(self, request: object) -> dict[str, Any]:
        """What Pyramid's json renderer makes of a session."""
        return self.copy()

    @overload
    def get_as(self, key: str, type: type[T]) -> T | None: ...
    @overload
    def get_as(self, key: str, type: type[T], default: T) -> T: ...
    @overload
    def get_as(self, key: str, type: Any, default: Any = None) -> Any: ...

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
        row = self._state.row
        return (row.created_at if row else self._state.kind.clock()) // SECOND

    @property
    def new(self) -> bool:
        """Whether nothing is stored of this session yet."""
        self._seen()
        return self._state.row is None

    def changed(self) -> None:
        """Nothing: changes are noticed, nested ones too."""

    def invalidate(self) -> None:
        """End this session; what is set from here on goes into a new one."""
        self._end("invalidated")

    def flash(self, msg: Any, queue: str = "", allow_duplicate: bool = True) -> None:
        """Push a message onto a queue, for a later page to show."""
        if not isinstance(queue, str):
            raise TypeError(f"a flash queue must be a str, not {queue!r}")
        codec = self._state.kind.codec
        codec.check(f"flash {queue}".strip(), msg)
        messages = self._changing().flash.setdefault(queue, [])
        stored = codec.as_stored(msg)
        if allow_duplicate or stored not in [message for _, message in messages]:
            messages.append([secrets.token_urlsafe(6), stored])

    def pop_flash(self, queue: str = "") -> list[Any]:
        """Remove and give the messages of a queue; on an error page after a failed save they stay
        for the next page.
        """
        if queue not in self._seen().flash:
            return []
        if self._state.failed:
            return self.peek_flash(queue)
        return [message for _, message in self._changing().flash.pop(queue)]

    def peek_flash(self, queue: str = "") -> list[Any]:
        """The messages of a queue, which stay there."""
        return [message for _, message in self._opened().flash.get(queue, [])]

    def new_csrf_token(self) -> str:
        """Set and give a new CSRF token."""
        token = new_csrf_token()
        if not self._state.failed:
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
        state = self._state
        if state.intent.token is None and state.loaded is not None and state.row is not None:
            return state.loaded.token or ""
        if state.intent.token is None:
            state.want(token=new_token())
        return state.intent.token or ""

    @property
    def handle(self) -> str:
        """The public name of this session, for lists and links."""
        self._seen()
        state = self._state
        if state.intent.handle is None and state.row is not None and state.row.handle is not None:
            return state.row.handle
        if state.intent.handle is None:
            state.want(handle=new_handle(state.kind.clock()))
        return state.intent.handle or ""

    @property
    def status(self) -> Status:
        """Whether this session is about to be changed, ended or neither."""
        content, state = self._opened(), self._state
        if state.intent.end or (state.loaded and state.loaded.origin is Origin.ENDED):
            return Status.ENDED
        return Status.MODIFIED if self._is_modified(content) else Status.UNMODIFIED

    def _is_modified(self, content: Content) -> bool:
        row, intent = self._state.row, self._state.intent
        if row is None:
            return not content.is_empty() or intent.sign_in is not None
        wanted = intent.token or intent.deadline or intent.absorb
        return bool(wanted) or self._state.kind.codec.encode(content) != row.data

    @property
    def deadline(self) -> datetime:
        """When this session ends at the latest. Assign an aware datetime to move it."""
        self._seen()
        kind, intent, row = self._state.kind, self._state.intent, self._state.row
        if intent.deadline is not None:
            return to_datetime(intent.deadline)
        if row is not None and (intent.sign_in is None or intent.sign_in.again):
            return to_datetime(row.deadline)
        settings = kind.settings
        lasts = settings.lifetime if intent.sign_in else settings.anonymous_lifetime
        return to_datetime(kind.clock() + lasts)

    @deadline.setter
    def deadline(self, when: datetime) -> None:
        moment = from_datetime(when)
        if not 0 < moment - self._state.kind.clock() <= MAX_LIFETIME:
            raise ValueError(f"expected a deadline within the next 400 days, not {when}")
        self._changing()
        self._state.want(deadline=moment)

    def remember_me(self, remember: bool) -> None:
        """Keep this session's cookie when the browser is closed, or don't."""
        self._changing().remember = bool(remember)

    def renew(self) -> None:
        """Go on with the same data under a new token, which voids the old one."""
        self._changing(lends=False)
        self._state.want(token=new_token())

    def merge(self, token: str) -> bool:
        """Take over the contents of another session and end it; its values win over ours.

        Whether there was such a session. Neither its user nor its deadline is taken over, and a
        session of another user is refused with SessionError. What others store in it until this
        one is saved is taken over as well; if they end it, nothing of it is.
        """
        self._changing()
        state = self._state
        if state.source is None:
            raise SessionClosed("the session was changed after it was saved; it would be lost")
        other = state.source.look_up(state.kind, token)
        row = other.row
        if other.origin is not Origin.LIVE or row is None or self._has_absorbed(row.digest):
            return False
        if row.user_id is not None and row.user_id != self.user_id:
            raise SessionError("a session of another user can't be merged into this one")
        encode, before = state.kind.codec.encode, state.kind.codec.encode(state.content)
        both = together(state.content, other.content)
        # Ours keeps its own lists and dictionaries where the other has no such key.
        state.content.values.update(other.content.values)
        state.content.flash = both.flash
        state.want(absorb=(*state.intent.absorb, Absorbed(row, before, encode(state.content))))
        return True

    def _has_absorbed(self, digest: bytes) -> bool:
        """Whether a row is this session's own, or one of those merged into it already.

        It may have been saved or touched by another request since, so the rows themselves differ.
        """
        own, absorbed = self._state.row, self._state.intent.absorb
        return (own is not None and own.digest == digest) or any(
            each.row.digest == digest for each in absorbed
        )

    @contextmanager
    def lock(self, timeout: float = 10) -> Iterator[Session]:
        """Run a block while no other request runs one on the same session.

        Inside, the session is as stored now, with what this request has changed so far; changes
        of the block are stored at its end, whatever becomes of the request: pyramid_retry repeats
        a block whose request it repeats. An error leaves them to the end of the request. Raises
        LockTimeout after `timeout` seconds, and SessionLost if the session was ended meanwhile.
        Nobody waits who does not ask for the lock; a process that dies holds it for 30 seconds,
        which is also the longest that a block may take: what a longer one changed is undone.

        Take it before the request's own transaction has written to the same SQLite file.
        """
        self._changing()
        state = self._state
        if state.intent.token or state.intent.end or state.locked:
            raise SessionError(
                "lock a session before renewing or ending it, and only once at a time"
            )
        state.locked = True
        try:
            with hold(state, timeout):
                yield self
        finally:
            state.locked = False

    # The user.

    @property
    def user_id(self) -> str | None:
        """Who is signed in; changed by `sign_in` and `sign_out` alone."""
        self._seen()
        sign_in, row = self._state.intent.sign_in, self._state.row
        if sign_in is not None:
            return sign_in.user_id
        return None if row is None else row.user_id

    @property
    def generation(self) -> bytes | None:
        """The user's security generation at sign-in."""
        self._seen()
        sign_in, row = self._state.intent.sign_in, self._state.row
        if sign_in is not None:
            return sign_in.generation
        return None if row is None else row.generation

    @property
    def signed_in_at(self) -> datetime | None:
        """When the user signed in to this session; None if nobody is."""
        self._seen()
        sign_in, row = self._state.intent.sign_in, self._state.row
        if sign_in is not None and not (sign_in.again and row):
            return to_datetime(sign_in.at)
        moment = None if row is None else row.signed_in_at
        return None if moment is None else to_datetime(moment)

    @property
    def confirmed_at(self) -> datetime | None:
        """When the user proved last who they are, by signing in or doing so again."""
        proof = self._seen().proof
        return None if proof is None else to_datetime(proof.confirmed_at)

    @property
    def method(self) -> str | None:
        """How the user proved that, as `sign_in` was told: `password`, for example."""
        proof = self._seen().proof
        return None if proof is None else proof.method

    def sign_in(
        self,
        user_id: str | int | UUID,
        *,
        generation: bytes | None = None,
        method: str | None = None,
    ) -> None:
        """Make this the session of a user, under a new token and with a new lifetime.

        What an anonymous visitor had put into it stays; what another user had does not. A user who
        is signed in already proves who they are again: they get a new token, and keep the rest, so
        that forms in other tabs still work. A client that sent too many cookies to look up can't
        be signed in: TooManyCookies.
        """
        name, generation = user_name(user_id), checked_generation(generation)
        method = checked_method(method)
        content, state = self._changing(lends=False), self._state
        if state.loaded is not None and state.loaded.origin is Origin.TOO_MANY:
            raise TooManyCookies(MAX_TOKENS)
        now, user = state.kind.clock(), self.user_id
        earlier = state.intent.sign_in
        again = user == name and state.row is not None and (earlier is None or earlier.again)
        sign_in = SignIn(user_id=name, generation=generation, at=now, again=again)
        if again:
            state.want(token=new_token(), sign_in=sign_in)
        else:
            if user not in (None, name):
                content = state.content = Content()
            content.csrf = new_csrf_token()
            handle = new_handle(now)
            state.want(token=new_token(), handle=handle, sign_in=sign_in, deadline=None)
        content.proof = Proof(now, method)

    def sign_out(self, reason: str = "signed_out") -> None:
        """End this session because its user leaves, or for another reason of 16 letters at most."""
        self._end(checked_reason(reason))

    def _end(self, reason: str) -> None:
        self._changing(lends=False)
        state, intent = self._state, self._state.intent
        merged = tuple(each.row for each in intent.absorb)
        state.intent = Intent(end=reason, end_also=(*intent.end_also, *merged))
        state.content = Content()
