"""Takes out of a text what opens something: tokens by their shape, links by their path (R6, A5).

A view may log a whole request, with its Cookie header, and an error may quote a form. Rather
hide too much than too little, for a log is read by many and kept for long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "[masked]"

# A token has 43 of these characters and a CSRF token 32; one that a mail program has lengthened has
# more. A client may send a cookie whose quotes and backslashes stand between, which opens nothing.
_LONG: Final = re.compile(r"[A-Za-z0-9_-]{32,}")

# What is as long and no token: names in Python, rulers, and UUIDs with or without their hyphens,
# which may be users' ids. That a random token is one of these happens once in 10^11.
_HARMLESS: Final = re.compile(
    r"[a-z_]+|-+|_+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}"
)

_PLACEHOLDER: Final = "{token"


class Masking:
    """Hides tokens, and everything that follows the beginning of a route with a `{token}`."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        beginnings = {each.partition(_PLACEHOLDER)[0] for each in patterns if _PLACEHOLDER in each}
        paths = "|".join(f"/{re.escape(each.lstrip('/'))}" for each in sorted(beginnings))
        # Also where a client has doubled a slash, or has put something behind the token.
        self._links = re.compile(rf"({paths})[^\s\"'<>]+", re.IGNORECASE) if paths else None

    def __call__(self, text: str) -> str:
        """The text without what opens something."""
        if self._links is not None:
            text = self._links.sub(rf"\1{HIDDEN}", text)
        return _LONG.sub(_hidden, text)


def _hidden(found: re.Match[str]) -> str:
    return found[0] if _HARMLESS.fullmatch(found[0]) else HIDDEN
