"""What visitors may send, with the limits of it; every complaint is a sentence for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

KEY_LENGTH: Final = 64
VALUE_LENGTH: Final = 2000
MESSAGE_LENGTH: Final = 200

REFUSED: Final = "Nothing was changed: please look at the form again."
UNPROVEN: Final = (
    "Nothing was changed yet: your browser did not say which page this form came from. What you"
    " typed is still here. Please send it again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The fields of the page as they were sent, and what is wrong with each, or with all of it."""

    key: str = "foo"
    value: str = ""
    message: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def read_entry(post: Mapping[str, Any]) -> Form:
    """A key and its value; the key without the blanks around it."""
    key, value = _text(post, "key").strip(), _text(post, "value")
    complaints = {"key": _about_key(key), "value": _about_length(value, VALUE_LENGTH)}
    return _judged(Form(key=key, value=value), complaints)


def read_message(post: Mapping[str, Any]) -> Form:
    """A message to be shown on the next page."""
    message = _text(post, "message").strip()
    complaint = _about_length(message, MESSAGE_LENGTH) if message else "Enter a message first."
    return _judged(Form(message=message), {"message": complaint})


def read_typed(post: Mapping[str, Any]) -> Form:
    """What a person typed into whichever form, to be sent again as it is."""
    # A key alone is that of a button to remove it.
    sent = [name for name in ("key", "value", "message") if name in post]
    typed: dict[str, Any] = {} if sent == ["key"] else {name: _text(post, name) for name in sent}
    return Form(**typed, problem=UNPROVEN)


def _judged(form: Form, complaints: Mapping[str, str | None]) -> Form:
    """The form with those of the complaints that there are."""
    errors = {name: words for name, words in complaints.items() if words is not None}
    return replace(form, errors=errors, problem=REFUSED if errors else "")


def _text(post: Mapping[str, Any], name: str) -> str:
    """One field; empty where it is missing or an uploaded file.

    Browsers send each line break as two characters, which would count twice.
    """
    sent = post.get(name, "")
    return sent.replace("\r\n", "\n") if isinstance(sent, str) else ""


def _about_key(key: str) -> str | None:
    """What is wrong with a key; None where nothing is."""
    if not key:
        return "Enter a key first."
    if not key.isprintable():
        return "A key can't contain line breaks or other control characters."
    return _about_length(key, KEY_LENGTH)


def _about_length(text: str, limit: int) -> str | None:
    """The complaint about a text that is too long; None about any other."""
    if len(text) <= limit:
        return None
    return f"Use at most {limit:,} characters: this has {len(text):,}."
