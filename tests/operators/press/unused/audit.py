"""The rule of this feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from myapp.scripts.sessions.audit.evidence import Evidence
from myapp.scripts.sessions.audit.profiles import Profile
from myapp.scripts.sessions.audit.rules import Rule, Verdict, verdict


def unused(seen: Evidence, profile: Profile) -> Verdict:
    """It is never met."""
    return verdict("UNUSED", "asked", False, "nothing")


RULES: Final[Sequence[Rule]] = (unused,)
