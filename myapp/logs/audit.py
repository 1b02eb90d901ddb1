"""What `myapp-sessions INI audit` asks of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from myapp.scripts.sessions.audit.evidence import Evidence
from myapp.scripts.sessions.audit.profiles import Profile
from myapp.scripts.sessions.audit.rules import Rule, Verdict, verdict

_MASKED: Final = "logging.Formatter"
"""The class whose lines are masked, whatever the format; one of somebody's own is left alone."""


def masking(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 16.2.5: whatever is logged, no line holds a token or the path of a link."""
    own = {name: each for name, each in seen.formatters.items() if each != _MASKED}
    _, evidence = seen.given("myapp.logs", "logs.format")
    shown = [evidence, *(f"[{name}] class = {each}" for name, each in own.items())]
    to_set = ", ".join(f"no class in [{name}]: logs.format decides" for name in own)
    return verdict("ASVS 16.2.5", ", ".join(shown), not own, to_set)


RULES: Final[Sequence[Rule]] = (masking,)
