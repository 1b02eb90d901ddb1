"""The session cookie, read and written by hand: in linear time, whatever a client sends (L6)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.token import SHAPE

MAX_TOKENS: Final = 3
"""So many different tokens of one name are looked up at most (L5)."""

ORIGINAL: Final = "myapp.sessions.cookie_header"
"""Where the header stays as it came, if the shield replaced it."""


def tokens_in(environ: dict[str, Any], name: str) -> Sequence[str]:
    """The different tokens that the client sent under this name; malformed ones do not count.

    More than MAX_TOKENS are never sent by an honest browser: then none is returned.
    """
    header: str = environ.get(ORIGINAL) or environ.get("HTTP_COOKIE") or ""
    if name not in header:
        return ()
    named = _named(name)
    first = named.search(header)
    if first is None:
        return ()
    if header.find(name, first.end()) < 0:
        # What nearly every header is: the name occurs once.
        return (first[1],) if first.start() == 0 or _begins_its_pair(first) else ()
    found: dict[str, None] = {}
    for match in named.finditer(header):
        if _begins_its_pair(match):
            found[match[1]] = None
        if len(found) > MAX_TOKENS:
            return ()
    return tuple(found)


def was_sent(environ: dict[str, Any], name: str) -> bool:
    """Whether the client sent any cookie of this name, well-formed or not."""
    header: str = environ.get(ORIGINAL) or environ.get("HTTP_COOKIE") or ""
    return name in header and re.search(f";[ \t]*{re.escape(name)}=", f";{header}") is not None


def _begins_its_pair(match: re.Match[str]) -> bool:
    """Whether the name begins its pair: `xsession=` is another cookie.

    Each stretch of the header is looked at once: a match ends where the next semicolon is, so
    that looking back from one match never goes beyond the one before.
    """
    start = match.start()
    header = match.string
    return not header[header.rfind(";", 0, start) + 1 : start].strip(" \t")


@lru_cache
def _named(name: str) -> re.Pattern[str]:
    return re.compile(rf'{re.escape(name)}=[ \t]*"?({SHAPE})"?[ \t]*(?=;|\Z)')


def set_cookie(settings: SessionSettings, token: str, max_age: int | None) -> str:
    """The header's value that stores a token; `max_age` in seconds, None until browser end."""
    scope, flags = _attributes(settings)
    age = "" if max_age is None else f"; Max-Age={max_age}"
    return f"{settings.cookie_name}={token}{scope}{age}{flags}"


def delete_cookie(settings: SessionSettings) -> str:
    """The header's value that removes the cookie, with the attributes it was set with (R2)."""
    scope, flags = _attributes(settings)
    past = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    return f"{settings.cookie_name}={scope}{past}{flags}"


@lru_cache
def _attributes(settings: SessionSettings) -> tuple[str, str]:
    domain = f"; Domain={settings.cookie_domain}" if settings.cookie_domain else ""
    flags = (
        ("; Secure" if settings.cookie_secure else "")
        + ("; HttpOnly" if settings.cookie_httponly else "")
        + f"; SameSite={settings.cookie_samesite.capitalize()}"
        + ("; Partitioned" if settings.cookie_partitioned else "")
    )
    return f"{domain}; Path={settings.cookie_path}", flags
