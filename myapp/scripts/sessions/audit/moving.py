"""What `audit` asks of a move: it lets in what others wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from myapp.scripts.sessions.audit.evidence import Evidence
from myapp.scripts.sessions.audit.profiles import Profile
from myapp.scripts.sessions.audit.rules import DECIDED_NONE, Rule, Verdict, verdict
from myapp.sessions.moving.settings import TRUSTED

_FEATURE: Final = "myapp.sessions.moving"
_EXECUTES: Final = ("pickle", "_pickle", "dill", "cloudpickle", "jsonpickle", "marshal")
"""Modules whose functions run what they read."""


def pickles(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 1.5.2: nothing that an old store holds is executed."""
    pickle, evidence = seen.given(_FEATURE, "pickle")
    return verdict("ASVS 1.5.2", evidence, pickle != TRUSTED, "moving.pickle = plain, or never")


def readers(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 1.5.2: nor by a function of one's own that reads pickles in place of ours."""
    kinds, _ = seen.given(_FEATURE, "from")
    named = [f"{kind}.deserialize" for kind in kinds if kind in ("session_redis", "redis_sessions")]
    found = {name: seen.given(_FEATURE, name) for name in named}
    bad = [name for name, (function, _) in found.items() if _executes(function)]
    shown = [evidence for function, evidence in found.values() if function is not None]
    evidence = ", ".join(shown) or "moving.pickle decides for all of them"
    to_set = ", ".join(f"moving.{name} empty, and moving.pickle = plain" for name in bad)
    return verdict("ASVS 1.5.2, deserialize", evidence, not bad, to_set)


def _executes(function: object) -> bool:
    return getattr(function, "__module__", "").partition(".")[0] in _EXECUTES


def limit(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 7.1.1: from when on old sessions are let in, or the decision to let in all of them."""
    moment, evidence = seen.given(_FEATURE, "began_after")
    evidence = f"{DECIDED_NONE}; {evidence}" if moment is None else evidence
    return verdict("ASVS 7.1.1, the move", evidence, True, "")


RULES: Final[Sequence[Rule]] = (pickles, readers, limit)
