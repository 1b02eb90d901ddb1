"""What `myapp-sessions INI audit` asks of accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from argon2 import PasswordHasher

from myapp.accounts.settings import OFF, PRINT
from myapp.accounts.views.sign_in import CLEARED
from myapp.scripts.sessions.audit.evidence import Evidence
from myapp.scripts.sessions.audit.profiles import Profile
from myapp.scripts.sessions.audit.rules import Rule, Verdict, verdict

_SHORTEST: Final = 15


def _given(seen: Evidence, name: str) -> tuple[Any, str]:
    return seen.given("myapp.accounts", f"accounts.{name}")


def password_length(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 6.2.1, NIST 3.1.1: 15 characters where a password is all that is asked for."""
    least, evidence = _given(seen, "password_min")
    fits = least >= _SHORTEST
    to_set = f"accounts.password_min = {_SHORTEST}"
    return verdict("ASVS 6.2.1, NIST 3.1.1", evidence, fits, to_set)


def password_hash(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 6.2.12, 11.4.2: hashed by argon2id, whose parameters are those of its library."""
    kind, memory = PasswordHasher().type.name, PasswordHasher().memory_cost
    evidence = f"argon2{kind.lower()}, {memory // 1024} MiB"
    return verdict("ASVS 6.2.12 11.4.2", evidence, kind == "ID", "argon2-cffi 25.1 or later")


def throttle(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 6.3.1: attempts to guess passwords are slowed down."""
    is_on, evidence = _given(seen, "throttle")
    return verdict("ASVS 6.3.1", evidence, is_on, "accounts.throttle = true")


def enumeration(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 6.3.8: sign-up does not tell who has an account."""
    confirms, evidence = _given(seen, "confirm_email")
    return verdict("ASVS 6.3.8", evidence, confirms, "accounts.confirm_email = true")


def mail(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 6.3.7, 6.4.1: links and news reach their owner, but not the readers of a log."""
    how, evidence = _given(seen, "mail")
    shows, _ = _given(seen, "show_mail")
    if how not in (None, PRINT, OFF):
        # The setting may hold a password.
        evidence = f"accounts.mail = {how.partition(':')[0]}://…"
    fits = how not in (None, PRINT, OFF) and not shows
    to_set = "accounts.mail = smtp://…, accounts.show_mail = false"
    return verdict("ASVS 6.3.7 6.4.1", evidence, fits, to_set)


def site(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 6.4.1: links lead to the site over HTTPS, for any Host header of a request."""
    url, evidence = _given(seen, "url")
    fits = url is not None and url.startswith("https://")
    return verdict("ASVS 6.4.1, links", evidence, fits, "accounts.url = https://…")


def clearing(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 14.3.1: signing out clears what the browser stores, but not other sites' cookies."""
    evidence = f"Clear-Site-Data: {CLEARED} at /logout"
    fits = '"cache"' in CLEARED and '"cookies"' not in CLEARED
    return verdict("ASVS 14.3.1", evidence, fits, "the header as shipped")


RULES: Final[Sequence[Rule]] = (
    *(password_length, password_hash, throttle, enumeration, mail, site, clearing),
)
