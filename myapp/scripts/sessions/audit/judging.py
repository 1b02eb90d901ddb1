"""Judges each rule by itself: one that raises is not met, and keeps no other from being judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType

from myapp.environment import without_passwords

# <workshop>
from myapp.scripts.sessions.audit import moving

# </workshop>
from myapp.scripts.sessions.audit.evidence import Evidence
from myapp.scripts.sessions.audit.profiles import Profile
from myapp.scripts.sessions.audit.rules import RULES, Rule, Verdict
from myapp.scripts.sessions.codebase import module_of

_RAISED = (Exception, SystemExit)


def judge(included: Sequence[str], seen: Evidence, profile: Profile) -> Iterator[Verdict]:
    """What each rule finds, those of the included features last."""
    for rule in RULES:
        yield _judged(rule, seen, profile)
    for package in included:
        try:
            rules = [*getattr(_audit_of(package), "RULES", ())]
        except _RAISED as error:
            yield _broken(f"{package}.audit", error)
        else:
            for rule in rules:
                yield _judged(rule, seen, profile)


def _judged(rule: Rule, seen: Evidence, profile: Profile) -> Verdict:
    try:
        found = rule(seen, profile)
        if not isinstance(found, Verdict):
            raise TypeError(f"a {type(found).__name__} in place of a Verdict")
    except _RAISED as error:
        return _broken(_name(rule), error)
    return found


def _broken(name: str, error: BaseException) -> Verdict:
    words = " ".join(without_passwords(str(error)).split())
    kind = type(error).__name__
    return Verdict(
        rule=name,
        evidence=f"raises {kind}: {words}" if words else f"raises {kind}",
        to_set="nothing, before the rule itself works",
    )


def _name(rule: Rule) -> str:
    """Where it is found in its package, as far as it says so: any callable may be a rule."""
    name = getattr(rule, "__qualname__", None) or type(rule).__qualname__
    return f"{getattr(rule, '__module__', None) or type(rule).__module__}.{name}"


def _audit_of(package: str) -> ModuleType | None:
    # <workshop>
    if package == "myapp.sessions.moving":
        # The sessions themselves know nothing of commands.
        return moving
    # </workshop>
    return module_of(package, "audit")
