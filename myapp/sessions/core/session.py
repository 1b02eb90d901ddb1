"""The dictionary that a view sees. It neither reads nor writes the store itself.

Every access to its contents goes through `_load`, which asks the source for the stored session
once. What a view wants to happen is noted in the state, and a save carries it out.
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
    """What is about to happen to a session; the names are those of scs."""

    UNMODIFIED = "unmodified"
    MODIFIED = "modified"
    ENDED = "ended"


class Session(MutableMapping[str, Any]):
    """A session: a dictionary with flash messages, a CSRF token and a lifetime.

    Keys are strings. A value can be stored only if it comes back equal (tuples come back as
    lists); assigning any other value raises NotStorable. Changes inside a value are noticed.
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
        """The contents, for a caller that neither changes them nor hands them out."""
        state = self._state
        return state.content if state.loaded is not None else self._load()

    def _opened(self) -> Content:
        """The contents, parts of which the caller may hand out."""
        self._state.lent = True
        return self._seen()

    def _changing(self, *, lends: bool = True) -> Content:
        """The contents, about to be changed; `lends` is False if the caller knows every change."""
        content = self._seen()
        if self._state.closed:
            raise SessionClosed(
                "the session was changed after it was saved; the change would be lost"
            )
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
        """The value of a key; if the key is missing, it is set to `default` first."""
        values = self._opened().values
        if key not in values:
            self[key] = default
        return values[key]

    def update(  # type: ignore[override]  # as dict's, whose many signatures are this one
        self, other: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any
    ) -> None:
        """Set keys and values: all of them, or none if one can't be stored."""
        news = dict(other, **more)
        for key, value in news.items():
            self._state.kind.codec.check(key, value)
        self._changing().values.update(news)

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove a key and return its value."""
        values = self._changing().values
        return values.pop(key) if default is _MISSING else values.pop(key, default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the key that was added last; return it with its value."""
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
        """The session as Pyramid's json renderer shows it."""
        return self.copy()

    @overload
    def get_as(self, key: str, type: type[T]) -> T | None: ...
    @overload
    def get_as(self, key: str, type: type[T], default: T) -> T: ...
    @overload
    def get_as(self, key: str, type: Any, default: Any = None) -> Any: ...

    def get_as(self, key: str, type: Any, default: Any = None) -> Any:
        """The value of a key, converted to this type; `default` if the key is missing.

        It takes any type to which msgspec converts: int, datetime, UUID, list[int], a dataclass.
        Raises WrongType for a value that can't be converted.
        """
        values = self._opened().values
        if key not in values:
            return default
        try:
            # `str` is refused where `bytes` is expected, although msgspec would decode base64.
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
        """Whether this session has not been stored yet."""
        self._seen()
        return self._state.row is None

    def changed(self) -> None:
        """Do nothing: all changes are noticed, nested ones too."""

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
        """Remove and return the messages of a queue. On an error page after a failed save, they
        stay for the next page.
        """
        if queue not in self._seen().flash:
            return []
        if self._state.failed:
            return self.peek_flash(queue)
        return [message for _, message in self._changing().flash.pop(queue)]

    def peek_flash(self, queue: str = "") -> list[Any]:
        """The messages of a queue, without removing them."""
        return [message for _, message in self._opened().flash.get(queue, [])]

    def new_csrf_token(self) -> str:
        """Set a new CSRF token and return it."""
        token = new_csrf_token()
        if not self._state.failed:
            self._changing().csrf = token
        return token

    def get_csrf_token(self) -> str:
        """The CSRF token; a new one is set if there is none."""
        return self._seen().csrf or self.new_csrf_token()

    @property
    def csrf_token(self) -> str | None:
        """The CSRF token, or None; reading it never sets one."""
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
        """Whether this session is about to be changed, ended, or neither."""
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
        """The latest moment at which this session ends. Assign an aware datetime to change it."""
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
        """Keep this session's cookie when the browser is closed, or drop it then."""
        self._changing().remember = bool(remember)

    def renew(self) -> None:
        """Give the session a new token and keep its data; the old token becomes void."""
        self._changing(lends=False)
        self._state.want(token=new_token())

    def merge(self, token: str) -> bool:
        """Take over the contents of another session and end it; its values override ours.

        Returns whether there was such a session. Its user and its deadline are not taken over. A
        session of another user raises SessionError. What other requests store in it before this
        one is saved is taken over as well; if they end it, none of it is.
        """
        self._changing()
        state = self._state
        if state.source is None:
            raise SessionClosed(
                "the session was changed after it was saved; the change would be lost"
            )
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
        """Whether a row is this session's own, or one that was merged into it already.

        Digests are compared, because another request may have changed the row since.
        """
        own, absorbed = self._state.row, self._state.intent.absorb
        return (own is not None and own.digest == digest) or any(
            each.row.digest == digest for each in absorbed
        )

    @contextmanager
    def lock(self, timeout: float = 10) -> Iterator[Session]:
        """Run a block while no other request runs one on the same session.

        Inside the block, the session holds what is stored now and what this request has changed
        so far. Changes are stored when the block ends, even if the request fails later, so if
        pyramid_retry repeats the request, the block runs again. If the block raises an error, its
        changes wait for the end of the request. Raises LockTimeout after `timeout` seconds, and
        SessionLost if the session was ended meanwhile.

        Only requests that ask for the lock wait for it. If a process dies, its lock lasts for 30
        seconds. A block must not take longer either: its changes are then undone.

        Take the lock before the request's own transaction has written to the same SQLite file.
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
        """The id of the signed-in user, or None; only `sign_in` and `sign_out` change it."""
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
        """When the user signed in to this session; None if nobody is signed in."""
        self._seen()
        sign_in, row = self._state.intent.sign_in, self._state.row
        if sign_in is not None and not (sign_in.again and row):
            return to_datetime(sign_in.at)
        moment = None if row is None else row.signed_in_at
        return None if moment is None else to_datetime(moment)

    @property
    def confirmed_at(self) -> datetime | None:
        """When the user last proved who they are, by signing in or signing in again."""
        proof = self._seen().proof
        return None if proof is None else to_datetime(proof.confirmed_at)

    @property
    def method(self) -> str | None:
        """How the user proved that, as passed to `sign_in`: for example, `password`."""
        proof = self._seen().proof
        return None if proof is None else proof.method

    def sign_in(
        self,
        user_id: str | int | UUID,
        *,
        generation: bytes | None = None,
        method: str | None = None,
    ) -> None:
        """Make this the session of a user, with a new token and a new lifetime.

        What an anonymous visitor put into it stays; what another user put into it does not. If the
        user is signed in already, this confirms who they are: the session gets a new token and
        keeps everything else, so that forms in other tabs still work. Raises TooManyCookies if the
        client sent more session cookies than are looked up.
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
        """End this session, because its user leaves or for another reason (at most 16 letters)."""
        self._end(checked_reason(reason))

    def _end(self, reason: str) -> None:
        self._changing(lends=False)
        state, intent = self._state, self._state.intent
        merged = tuple(each.row for each in intent.absorb)
        state.intent = Intent(end=reason, end_also=(*intent.end_also, *merged))
        state.content = Content()
