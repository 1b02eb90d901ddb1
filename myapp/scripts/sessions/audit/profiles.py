"""The limits of NIST SP 800-63B-4 for each level of assurance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from myapp.sessions.core.lifetime import MINUTE
from myapp.sessions.core.settings import DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a level demands; durations in milliseconds, None where it leaves that to you."""

    name: str
    lifetime: int
    lifetime_in_words: str
    idle_timeout: int | None = None
    idle_in_words: str = ""
    limits_sessions: bool = False


PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile(name="aal1", lifetime=30 * DAY, lifetime_in_words="30d"),
        Profile(
            name="aal2",
            lifetime=DAY,
            lifetime_in_words="24h",
            idle_timeout=60 * MINUTE,
            idle_in_words="1h",
            limits_sessions=True,
        ),
        Profile(
            name="aal3",
            lifetime=DAY // 2,
            lifetime_in_words="12h",
            idle_timeout=15 * MINUTE,
            idle_in_words="15m",
            limits_sessions=True,
        ),
    )
}
"""By name; aal1 is what the public web asks for at least."""
