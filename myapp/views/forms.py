"""What visitors may send, with the limits of it; every complaint is a sentence for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

KEY_LENGTH: Final = 64
VALUE_LENGTH: Final = 2000
MESSAGE_LENGTH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The fields of the page as they were sent, and what is wrong with each."""

    key: str = "foo"
    value: str = ""
    message: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


def read_entry(post: Mapping[str, Any]) -> Form:
    """A key and its value; the key without the blanks around it."""
    key, value = _text(post, "key").strip(), _text(post, "value")
    complaints = {"key": _about_key(key), "value": _about_length(value, VALUE_LENGTH)}
    return Form(key=key, value=value, errors=_without_none(complaints))


def read_message(post: Mapping[str, Any]) -> Form:
    """A message to be shown on the next page."""
    message = _text(post, "message").strip()
    complaint = _about_length(message, MESSAGE_LENGTH) if message else "Write a message first."
    return Form(message=message, errors=_without_none({"message": complaint}))


def _text(post: Mapping[str, Any], name: str) -> str:
    """One field; empty where it is missing or an uploaded file.

    Browsers send each line break as two characters, which would count twice.
    """
    sent = post.get(name, "")
    return sent.replace("\r\n", "\n") if isinstance(sent, str) else ""


def _about_key(key: str) -> str | None:
    """What is wrong with a key; None where nothing is."""
    if not key:
        return "Write a key first."
    if not key.isprintable():
        return "A key has no line breaks or other control characters."
    return _about_length(key, KEY_LENGTH)


def _about_length(text: str, limit: int) -> str | None:
    """The complaint about a text that is too long; None about any other."""
    if len(text) <= limit:
        return None
    return f"At most {limit:,} characters, please: this has {len(text):,}."


def _without_none(complaints: Mapping[str, str | None]) -> dict[str, str]:
    """The complaints that there are."""
    return {name: text for name, text in complaints.items() if text is not None}
