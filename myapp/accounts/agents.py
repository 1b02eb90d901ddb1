"""Browsers in words, so that people recognise their own."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ua_parser import parse

UNKNOWN: Final = "Unknown browser"

_READ: Final = 512
"""Characters of a user agent that are looked at; honest ones are shorter."""
_LONGEST: Final = 40
"""Characters of each name that are shown: they come from outside."""
_SIGNS: Final = frozenset(" -_+()")
"""Shown beside letters and digits; none of these lets a mail program make a name a link."""


def in_words(user_agent: str | None) -> str:
    """Browser and system, such as "Firefox on Linux"; never raises, and is always one line."""
    return _in_words(user_agent[:_READ]) if user_agent else UNKNOWN


@lru_cache(maxsize=1000)
def _in_words(user_agent: str) -> str:
    parsed = parse(user_agent)
    browser = _shown(parsed.user_agent.family) if parsed.user_agent else ""
    system = _shown(parsed.os.family) if parsed.os else ""
    return f"{browser or UNKNOWN} on {system}" if system else browser or UNKNOWN


def _shown(family: str) -> str:
    shown = (c if c.isalnum() or c in _SIGNS else " " for c in family[:_LONGEST])
    return " ".join("".join(shown).split())
