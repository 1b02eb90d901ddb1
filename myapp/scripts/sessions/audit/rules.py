"""The rules: each looks at the evidence, and says what it has seen and what to set.

A feature adds rules of its own by a module `audit` with RULES, a sequence of functions like these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from myapp.scripts.sessions.audit.evidence import Evidence
from myapp.scripts.sessions.audit.profiles import Profile
from myapp.sessions.core.token import TOKEN_LENGTH, is_token

_LARGEST_COOKIE: Final = 4096
_HSTS: Final = "Strict-Transport-Security"
_YEAR: Final = 365 * 24 * 60 * 60
DECIDED_NONE: Final = "decided: none"
"""The start of the evidence if a limit is off, which the profile leaves to you."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule found: `to_set` says how to meet it, and is empty if it is met."""

    rule: str
    evidence: str
    to_set: str = ""

    @property
    def is_met(self) -> bool:
        """Whether there is nothing to set."""
        return not self.to_set


Rule = Callable[[Evidence, Profile], Verdict]


def verdict(rule: str, evidence: str, is_met: bool, to_set: str) -> Verdict:
    """What a rule found; `to_set` counts where it is not met."""
    return Verdict(rule=rule, evidence=evidence, to_set="" if is_met else to_set)


def lifetime(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 7.1.1, 7.3.2: an absolute limit, kept by the server."""
    fits = seen.sessions.lifetime <= profile.lifetime
    to_set = f"{seen.sessions.prefix}lifetime = {profile.lifetime_in_words} or shorter"
    return verdict("ASVS 7.1.1 7.3.2, NIST 5.2", seen.session_setting("lifetime"), fits, to_set)


def idle_timeout(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 7.3.1: an idle limit, or the decision to have none where the profile leaves that."""
    rule, own, most = "ASVS 7.3.1", seen.sessions.idle_timeout, profile.idle_timeout
    found = seen.session_setting("idle_timeout")
    evidence = f"{DECIDED_NONE}; {found}" if own is None else found
    fits = most is None or (own is not None and own <= most)
    to_set = f"{seen.sessions.prefix}idle_timeout = {profile.idle_in_words} or shorter"
    return verdict(rule, evidence, fits, to_set)


def sessions_of_a_user(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 7.1.2: how many sessions a user may have."""
    found, own = seen.session_setting("max_per_user"), seen.sessions.max_per_user
    evidence = f"{DECIDED_NONE}; {found}" if own is None else found
    fits = own is not None or not profile.limits_sessions
    to_set = f"{seen.sessions.prefix}max_per_user = 20, for example"
    return verdict("ASVS 7.1.2", evidence, fits, to_set)


def token(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 7.2.1 to 7.2.3: a random reference of 256 bits, whose state is in the store."""
    _, value, _ = seen.cookie
    fits = is_token(value)
    words = f"a token of {len(value)} characters"
    evidence = f"{words}, 256 random bits" if fits else f"{words}, not {TOKEN_LENGTH} of base64"
    return verdict("ASVS 7.2.1 7.2.2 7.2.3", evidence, fits, "myapp.sessions as it is shipped")


def table(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 7.2.1: sessions are checked in the store, which holds digests and no tokens."""
    looked_at = f"the table {seen.sessions.table} holds SHA-256 digests, and can be asked"
    if seen.sessions.store is not None:
        looked_at = f"{seen.sessions.store} is given SHA-256 digests"
    evidence = seen.table or looked_at
    return verdict("ASVS 7.2.1, the table", evidence, seen.table is None, "see `check`")


def cookie_prefix(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 3.3.1, 3.3.3: for this host alone, over HTTPS, hidden from scripts."""
    name, _, attributes = seen.cookie
    fits = (
        name.lower().startswith(("__host-http-", "__host-"))
        and {"secure", "httponly"} <= attributes.keys()
        and attributes.get("path") == "/"
        and "domain" not in attributes
    )
    shown = "; ".join(f"{key}={text}" if text else key for key, text in attributes.items())
    prefix = seen.sessions.prefix
    to_set = (
        f"{prefix}cookie_name = __Host-Http-{seen.sessions.cookie_name.rpartition('-')[2]},"
        f" {prefix}cookie_secure = true, {prefix}cookie_httponly = true, {prefix}cookie_path = /,"
        f" no {prefix}cookie_domain"
    )
    return verdict("ASVS 3.3.1 3.3.3", f"{name}; {shown}", fits, to_set)


def same_site(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 3.3.2: said in words, and not left to the browser; not none."""
    _, _, attributes = seen.cookie
    fits = attributes.get("samesite", "").lower() in ("lax", "strict")
    evidence = f"SameSite={attributes.get('samesite', 'missing')}"
    to_set = f"{seen.sessions.prefix}cookie_samesite = lax, or strict"
    return verdict("ASVS 3.3.2", evidence, fits, to_set)


def script(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 3.3.4: no script can read the token."""
    fits = "httponly" in seen.cookie[2]
    found = seen.session_setting("cookie_httponly")
    return verdict("ASVS 3.3.4", found, fits, f"{seen.sessions.prefix}cookie_httponly = true")


def cookie_size(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 3.3.5: browsers drop what is longer."""
    name, value, _ = seen.cookie
    size = len(name) + len(value)
    to_set = f"{seen.sessions.prefix}cookie_name: a shorter one"
    return verdict("ASVS 3.3.5", f"{size} bytes of name and value", size < _LARGEST_COOKIE, to_set)


def https(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 3.4: the application knows that browsers reach it by HTTPS."""
    server = seen.server
    by_proxy = "trusted_proxy" in server and any(
        header in server.get("trusted_proxy_headers", "").lower().split()
        for header in ("x-forwarded-proto", "forwarded")
    )
    if seen.https_declared:
        evidence = "declared by --https"
    elif server.get("url_scheme") == "https":
        evidence = "url_scheme = https in [server:main]"
    elif by_proxy:
        evidence = f"trusted_proxy = {server['trusted_proxy']}, which says X-Forwarded-Proto"
    else:
        to_set = (
            "trusted_proxy and trusted_proxy_headers = x-forwarded-for x-forwarded-proto in"
            " [server:main]; for another server, which does that itself, audit --https"
        )
        return verdict("ASVS 3.4, HTTPS", "no setting says that browsers use HTTPS", False, to_set)
    return verdict("ASVS 3.4, HTTPS", evidence, True, "")


def _of_page(rule: str, seen: Evidence, header: str, is_met: bool, to_set: str) -> Verdict:
    """What a rule found in a header of the application's page; without a page it is not met."""
    if not seen.page.headers:
        to_set = seen.page.instead
    return verdict(rule, seen.page.shown(header), is_met, to_set)


def hsts(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 3.4.1: browsers are told to come by HTTPS alone, for a year at least."""
    found = re.search(r"max-age=\"?(\d+)", seen.page.header(_HSTS), re.IGNORECASE)
    fits = found is not None and int(found[1]) >= _YEAR
    has_setting = "myapp.hsts" in seen.readings["application"].given
    to_set = "myapp.hsts = true" if has_setting else f"a header {_HSTS}: max-age={_YEAR}"
    return _of_page("ASVS 3.4.1", seen, _HSTS, fits, to_set)


def content_policy(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 3.4.3, 3.4.6: no inline script, and no frame of others around it."""
    name = "Content-Security-Policy"
    found = seen.page.header(name)
    fits = "frame-ancestors" in found and "default-src" in found and "unsafe-inline" not in found
    to_set = f"a header {name} with default-src and frame-ancestors, without unsafe-inline"
    return _of_page("ASVS 3.4.3 3.4.6", seen, name, fits, to_set)


def no_sniffing(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 3.4.4: a browser takes a response for what it is."""
    name = "X-Content-Type-Options"
    fits = seen.page.header(name).lower() == "nosniff"
    return _of_page("ASVS 3.4.4", seen, name, fits, f"a header {name}: nosniff")


def forwarded(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 4.1.3: a header that a proxy sets is believed of that proxy alone."""
    server = seen.server
    proxy = server.get("trusted_proxy", "")
    cleared = server.get("clear_untrusted_proxy_headers", "true").lower()
    fits = proxy != "*" and cleared in ("true", "yes", "on", "1")
    evidence = f"trusted_proxy = {proxy or 'none'}, others' headers cleared: {cleared}"
    to_set = (
        "trusted_proxy: the proxy's address in place of *, and clear_untrusted_proxy_headers = true"
    )
    return verdict("ASVS 4.1.3", evidence, fits, to_set)


def no_store(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 14.3.2: no cache keeps what was sent with a cookie, or to somebody signed in."""
    found = seen.signed_in.get("Cache-Control", "")
    to_set = "myapp.sessions as it is shipped"
    evidence = f"Cache-Control: {found or 'missing'}"
    return verdict("ASVS 14.3.2", evidence, "no-store" in found, to_set)


def token_in_url(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 14.2.1: the token is in Set-Cookie and in nothing else of a response."""
    _, value, _ = seen.cookie
    others = [text for name, text in seen.signed_in.items() if name != "Set-Cookie"]
    fits = not value or not any(value in text for text in (*others, seen.location))
    to_set = "nothing that puts request.session.token into a URL or a header"
    return verdict("ASVS 14.2.1", "the token is in Set-Cookie alone", fits, to_set)


def deletion(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 7.4.1: signing out deletes the cookie, which a browser takes only with Secure."""
    found = seen.signed_out.get("Set-Cookie", "")
    fits = "max-age=0" in found.lower().replace(" ", "") and (
        not seen.sessions.cookie_secure or "secure" in found.lower()
    )
    to_set = "myapp.sessions as it is shipped"
    evidence = f"signing out sends {found.partition('=')[0] or 'nothing'}; Max-Age=0"
    return verdict("ASVS 7.4.1", evidence, fits, to_set)


RULES: Final[Sequence[Rule]] = (
    *(lifetime, idle_timeout, sessions_of_a_user, token, table, deletion),
    *(cookie_prefix, same_site, script, cookie_size, https, hsts, content_policy, no_sniffing),
    *(forwarded, no_store, token_in_url),
)
"""In the order in which they are printed."""
