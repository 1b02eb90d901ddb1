"""Its rules: the last one works."""

from __future__ import annotations

import sys
from typing import Any, Final

from myapp.scripts.sessions.audit.rules import verdict


def looks_up(seen: Any, profile: Any) -> Any:
    return seen.readings["no.such.feature"]


def quotes(seen: Any, profile: Any) -> Any:
    raise OSError("can't reach\nredis://us:top secret@h/0")


def leaves(seen: Any, profile: Any) -> Any:
    sys.exit(3)


def forgets(seen: Any, profile: Any) -> Any:
    """Has no verdict."""


class Rule:
    """A rule without a name of its own."""

    def __call__(self, seen: Any) -> Any:
        """Takes too little."""


def works(seen: Any, profile: Any) -> Any:
    return verdict("WORKS", "it does", True, "")


RULES: Final = (looks_up, quotes, leaves, forgets, Rule(), works)
