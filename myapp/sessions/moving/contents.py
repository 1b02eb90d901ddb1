"""What an old session becomes: its dictionary, flash messages and CSRF token, as ours hold them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from myapp.sessions.core.codec import Codec, Content
from myapp.sessions.core.errors import NotStorable, SessionTooLarge
from myapp.sessions.moving.old import Old

log = logging.getLogger(__name__)

# Where every session of Pyramid's kind keeps them, within the dictionary.
_CSRF: Final = "_csrft_"
_FLASH: Final = "_f_"


def content_of(codec: Codec, olds: Iterable[Old]) -> Content:
    """What several old sessions of one client hold together; what can't be stored is left out."""
    content = Content()
    for old in olds:
        for key, value in old.values.items():
            _take(codec, content, key, value)
    _shrink(codec, content)
    return content


def _take(codec: Codec, content: Content, key: Any, value: Any) -> None:
    try:
        if key == _CSRF:
            content.csrf = _text(value)
        elif isinstance(key, str) and key.startswith(_FLASH):
            messages = list(_messages(codec, key, value))
            if messages:
                content.flash.setdefault(key.removeprefix(_FLASH), []).extend(messages)
        else:
            codec.check(key, value)
            content.values[key] = codec.as_stored(value)
    except NotStorable as error:
        log.warning("not moved: %s", error)


def _text(value: Any) -> str | None:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return text if isinstance(text, str) and text.isascii() and text.isprintable() else None


def _messages(codec: Codec, key: str, value: Any) -> Iterator[list[Any]]:
    for message in value if isinstance(value, list | tuple) else ():
        codec.check(key, message)
        yield [secrets.token_urlsafe(6), codec.as_stored(message)]


def _shrink(codec: Codec, content: Content) -> None:
    """Leave out the largest values until the rest fits `session.max_size`."""
    while (parts := _parts(codec, content)) and not _fits(codec, content):
        size, holder, key = max(parts, key=lambda part: part[0])
        del holder[key]
        log.warning("not moved: session[%r]; its %d bytes are too many", key, size)


def _parts(codec: Codec, content: Content) -> list[tuple[int, dict[str, Any], str]]:
    holders: tuple[dict[str, Any], ...] = (content.values, content.flash)
    return [
        (len(codec.encode(Content(values={key: value}))), holder, key)
        for holder in holders
        for key, value in holder.items()
    ]


def _fits(codec: Codec, content: Content) -> bool:
    try:
        codec.check_size(codec.encode(content))
    except SessionTooLarge:
        return False
    return True


def user_of(olds: Sequence[Old], user_key: str | None) -> object:
    """Who is signed in: by the key that a setting names, else by a cookie that holds a user."""
    named = [old.values.get(user_key) for old in olds if user_key is not None]
    found = (each for each in (*named, *(old.user_id for old in olds)) if each is not None)
    return next(found, None)
