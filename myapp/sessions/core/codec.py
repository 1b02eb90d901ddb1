"""A session's content as the view sees it, and the bytes that are stored for it.

A value is stored only if it comes back equal (S10); unreadable bytes raise UnreadableData and
nothing else (L7).
"""

from __future__ import annotations

import enum
import marshal
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

from myapp.sessions.core.discreet import Discreet
from myapp.sessions.core.errors import NotStorable, SessionTooLarge, UnreadableData

MAX_DEPTH: Final = 100
"""How deep lists and dictionaries may be nested; few enough levels to read on any stack."""

_CONTAINERS: Final = (list, tuple, dict)
UNCHANGEABLE: Final = frozenset({str, int, float, bool, bytes, type(None)})
"""The types whose values can't change after they are assigned."""
_EXACT: Final = UNCHANGEABLE - {float}  # a zero has two signs
_BUILTINS: Final = (str, int, float, bytes, list, dict)

# With these MessagePack begins a list or a dictionary; within texts and numbers they occur as well.
_CONTAINER_BYTES: Final = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])

FlashMessage = list[Any]
"""An id of its own and the message: `["f3a9…", "Saved."]`."""


class Serializer(Protocol):
    """Pyramid's serializer interface."""

    def dumps(self, appstruct: Any) -> bytes:
        """The bytes of a structure of dictionaries, lists, texts, numbers and the like."""

    def loads(self, bstruct: bytes) -> Any:
        """The structure again; any exception means that the bytes can't be read."""


class MessagePack:
    """The default serializer: compact, fast, and never runs what it reads."""

    def __init__(self) -> None:
        self.dumps = msgspec.msgpack.Encoder(enc_hook=_plain_text).encode
        self.loads = msgspec.msgpack.Decoder().decode


class Proof(msgspec.Struct, array_like=True, frozen=True):
    """When and how the user last proved who they are (I16)."""

    confirmed_at: int
    method: str | None = None


class Content(Discreet, msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a session holds: the dictionary, and beside it what has methods of its own.

    Stored as a list, of which the rare parts are left out where they are empty.
    """

    values: dict[str, Any] = msgspec.field(default_factory=dict)
    flash: dict[str, list[FlashMessage]] = msgspec.field(default_factory=dict)
    csrf: str | None = None
    remember: bool | None = None
    proof: Proof | None = None

    def shown(self) -> str:
        return f"of {len(self.values)} keys"

    def is_empty(self) -> bool:
        """Whether there is nothing worth a row; being remembered alone is not (S2)."""
        return not self.values and not self.flash and self.csrf is None


_decode: Final = msgspec.msgpack.Decoder(Content).decode


class Codec:
    """Translates between content and bytes."""

    def __init__(self, serializer: Serializer, max_size: int) -> None:
        self._dumps, self._loads = serializer.dumps, serializer.loads
        self._max_size = max_size
        self.is_canonical = is_ours = isinstance(serializer, MessagePack)
        """Whether equal contents in the same order are the same bytes each time."""
        self._is_plain = _is_plain if is_ours else _never
        # msgspec checks types while it reads, which takes half the time of doing so afterwards.
        self._content = _read if is_ours else lambda data: _content(self._loads(data))

    def encode(self, content: Content) -> bytes:
        """The bytes of a content, of any size.

        Raises NotStorable, with the key at fault.
        """
        try:
            return self._dumps(_structure(content))
        except Exception as error:
            for key, value in content.values.items():
                self.check(key, value)
            raise NotStorable("(flash message)", content.flash, str(error)) from error

    def decode(self, data: bytes) -> Content:
        """The content of stored bytes. Raises UnreadableData."""
        try:
            content = self._content(data)
            if content.flash:
                _check_messages(content)
            return content
        except Exception as error:
            raise UnreadableData(f"{type(error).__name__} in {len(data)} bytes") from error

    def check(self, key: object, value: object) -> None:
        """Refuse a value that would not come back equal. Raises NotStorable."""
        if type(key) is not str or not _is_encodable(key):
            raise NotStorable(key, key, "a key must be a str of encodable characters")
        if self._is_plain(value):
            return
        try:
            data = self._dumps([value])
            back = self._loads(data)[0]
            if self.is_canonical and value == back and _is_flat(data) and _is_built_in(value):
                return  # nearly all values end here, without a look at each part
            alike = _is_alike(value, back, MAX_DEPTH)
        except _Loss as loss:
            raise NotStorable(key, value, str(loss)) from None
        except RecursionError as error:
            raise NotStorable(
                key, value, f"it is nested more than {MAX_DEPTH} levels deep"
            ) from error
        except Exception as error:
            raise NotStorable(key, value, f"the serializer failed: {error}") from error
        if not alike:
            raise NotStorable(key, value, f"it would come back as {_brief(back)}")

    def _normal(self, value: object) -> object:
        """A value as it comes back."""
        return self._loads(self._dumps([value]))[0]

    def as_stored(self, value: Any) -> Any:
        """A value that `check` accepts, as it will come back: a tuple as a list."""
        return value if self._is_plain(value) else self._normal(value)

    def check_size(self, data: bytes) -> None:
        """Refuse data over the limit. Raises SessionTooLarge."""
        if len(data) > self._max_size:
            raise SessionTooLarge(len(data), self._max_size)

    def same(self, one: object, other: object) -> bool:
        """Whether two values are stored alike: `1` and `True` are not; dicts in any order are."""
        if one == other and (
            (type(one) is type(other) and type(one) in _EXACT)
            or self._dumps(one) == self._dumps(other)
        ):
            return True  # as nearly all are, said without a look into each
        if not (isinstance(one, _CONTAINERS) and isinstance(other, _CONTAINERS)):
            return type(one) is type(other) and bool(one == other)
        if one != other and self._surely_differ(one, other):
            return False  # as nearly all others
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(self.same(one[k], other[k]) for k in one)
        if isinstance(one, list | tuple) and isinstance(other, list | tuple):
            return len(one) == len(other) and all(map(self.same, one, other))
        return type(one) is type(other) and bool(one == other)

    def _surely_differ(self, one: object, other: object) -> bool:
        """Whether two containers that are unequal are stored otherwise, too."""
        if type(one) is type(other) is list and _are_leaves(one) and _are_leaves(other):
            return True
        return self.is_canonical and self._normal(one) != self._normal(other)


def _is_encodable(text: str) -> bool:
    """Whether a text has no lone surrogates, which are not characters."""
    try:
        return text.isascii() or text.encode() is not None
    except UnicodeEncodeError:
        return False


def _plain_text(value: object) -> str:
    """A subclass of str, such as markupsafe's Markup, as the text that it equals."""
    if isinstance(value, str):
        return str.__str__(value)
    raise NotImplementedError(f"a {type(value).__qualname__} is not supported")


def _is_plain(value: object) -> bool:
    """Whether MessagePack certainly returns a value unchanged, decided without trying."""
    # By the exact type, since a subclass may differ; mypy does not narrow by `kind is …`.
    kind = type(value)
    if kind is str:
        return value.isascii()  # type: ignore[attr-defined, no-any-return]
    if kind is int:
        return -(2**63) <= value < 2**63  # type: ignore[operator]
    return kind is bool or value is None


def _is_flat(data: bytes) -> bool:
    """Whether the nesting is certainly at most MAX_DEPTH: no more bytes could begin a container."""
    return len(data) - len(data.translate(None, _CONTAINER_BYTES)) <= MAX_DEPTH


def _is_built_in(value: Any) -> bool:
    """Whether a value contains only Python's own types, without subclasses."""
    try:
        marshal.dumps(value)
    except ValueError:
        return False
    return True


def _never(value: object) -> bool:
    return False


def _structure(content: Content) -> list[Any]:
    """What is serialized: a list, of which the rare parts are left out where they are empty."""
    proof = content.proof
    if proof is not None:
        proven = [proof.confirmed_at, proof.method]
        return [content.values, content.flash, content.csrf, content.remember, proven]
    if not content.flash and content.csrf is None and content.remember is None:
        return [content.values]
    return [content.values, content.flash, content.csrf, content.remember]


def _read(data: bytes) -> Content:
    # A list of one element, of four or of five, in MessagePack.
    if data[:1] not in (b"\x91", b"\x94", b"\x95"):
        raise ValueError("no session's structure")
    return _decode(data)


def _content(structure: Any) -> Content:
    if type(structure) is not list or len(structure) not in (1, 4, 5):
        raise ValueError("no session's structure")
    return msgspec.convert(structure, Content)


def _check_messages(content: Content) -> None:
    msgspec.convert(content.flash, dict[str, list[tuple[str, Any]]])


def _is_alike(value: Any, back: Any, levels: int) -> bool:
    """Whether what comes back equals a value, except that a tuple comes back as a list.

    Raises RecursionError below this many levels, and _Loss for a value that is equal but has lost
    something.
    """
    if type(value) in UNCHANGEABLE:
        return bool(value == back)
    if type(value) is not type(back):
        _refuse_loss(value)
    if isinstance(value, list | tuple | Mapping):
        return _holds_alike(value, back, levels)
    if isinstance(value, datetime) and value.utcoffset() is not None:
        # In an hour that a zone's clock shows twice, no datetime equals one of another zone.
        value = value.astimezone(UTC)
    return bool(value == back)


def _holds_alike(value: Any, back: Any, levels: int) -> bool:
    if not levels:
        raise RecursionError
    if not isinstance(value, Mapping):
        if not isinstance(back, (list, type(value))) or len(value) != len(back):
            return False
        if _are_leaves(value):
            return [*value] == [*back]  # as of most: a long list holds numbers or texts
        pairs = zip(value, back, strict=True)
        return all(_is_alike(one, other, levels - 1) for one, other in pairs)
    if not _are_leaves(value):
        for key in value:
            _refuse_loss(key)
    return (
        isinstance(back, dict)
        and value.keys() == back.keys()
        and all(_is_alike(value[key], back[key], levels - 1) for key in value)
    )


def _are_leaves(members: Iterable[object]) -> bool:
    """Whether all are of plain types, decided without a look at each."""
    return UNCHANGEABLE.issuperset(map(type, members))


class _Loss(Exception):
    """A value that equals what comes back, but holds more."""


def _refuse_loss(value: Any) -> None:
    """Raise _Loss for one of a builtin's subclasses from which more than its type would be lost."""
    kind = type(value)
    if isinstance(value, enum.Enum) or kind in (list, tuple, dict):
        return
    if isinstance(value, str) and hasattr(value, "domain") and hasattr(value, "mapping"):
        raise _Loss(f"a {kind.__qualname__} would lose its domain: translate it first")
    if isinstance(value, tuple):
        raise _Loss(f"a {kind.__qualname__} would lose the names of its fields: make it a dict")
    if hasattr(kind, "__missing__"):
        raise _Loss(f"a {kind.__qualname__} would lose its defaults: make it a dict")
    if isinstance(value, _BUILTINS) and value.__getstate__():
        raise _Loss(f"a {kind.__qualname__} would lose its attributes: store a plain value")


def _brief(value: object) -> str:
    text = f"{type(value).__qualname__} {value!r}"
    return text if len(text) <= 80 else text[:79] + "…"
