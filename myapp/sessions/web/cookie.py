"""The session cookie, read and written by hand, in linear time for any header (L6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from myapp.sessions.core.loading import MAX_TOKENS
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.token import SHAPE

PROTECTED: Final = r"__(?:Host|Secure|Http)-"
"""The prefixes of names that browsers protect from other hosts, in upper or lower case.

A comma does not separate such a cookie from the one before it, even though servers join two Cookie
lines with one: any host of the domain may set `x=1,__Host-session=…`, which the prefix forbids.
"""

_IS_PROTECTED: Final = re.compile(PROTECTED, re.IGNORECASE).match


def tokens_in(environ: dict[str, Any], name: str) -> Sequence[str]:
    """The different tokens that the client sent under this name, without malformed ones.

    At most one more than MAX_TOKENS.
    """
    header: str = environ.get("HTTP_COOKIE") or ""
    if name not in header:
        return ()
    pattern, before = _named(name)
    first = pattern.search(header)
    if first is None:
        return ()
    if header.find(name, first.end()) < 0:
        # In nearly every header, the name occurs once.
        in_front = header[: first.start()].rstrip(" \t")
        return (first[1],) if not in_front or in_front[-1] in before else ()
    found: dict[str, None] = {}
    for _, _, token in pairs_in(header, name):
        found[token] = None
        if len(found) > MAX_TOKENS:
            break
    return tuple(found)


def pairs_in(header: str, name: str) -> Iterator[tuple[int, int, str]]:
    """Where a well-formed cookie of this name begins and ends in a header, and its token."""
    pattern, before = _named(name)
    end = 0
    for match in pattern.finditer(header):
        # Up to the match before, so that each stretch of the header is looked at once. Whether the
        # name begins its pair: `xsession=` is another cookie.
        in_front = header[end : match.start()].rstrip(" \t")
        end = match.end()
        if not in_front or in_front[-1] in before:
            yield match.start(), end, match[1]


def was_sent(environ: dict[str, Any], name: str) -> bool:
    """Whether the client sent any cookie of this name, well-formed or not."""
    header: str = environ.get("HTTP_COOKIE") or ""
    return name in header and _beginning(name).search(header) is not None


@lru_cache
def _beginning(name: str) -> re.Pattern[str]:
    """Where a cookie of this name begins, with any value."""
    return re.compile(rf"(?:\A|[{_separators(name)}])[ \t]*{re.escape(name)}=")


def _separators(name: str) -> str:
    """What may stand between a cookie of this name and the one before it."""
    return ";" if _IS_PROTECTED(name) else ";,"


@lru_cache
def _named(name: str) -> tuple[re.Pattern[str], str]:
    """A cookie of this name, wherever it stands, and what may stand before it."""
    pattern = rf'{re.escape(name)}=[ \t]*"?({SHAPE})"?[ \t]*(?=[;,]|\Z)'
    return re.compile(pattern), _separators(name)


def set_cookie(settings: SessionSettings, token: str, max_age: int | None) -> str:
    """The header value that stores a token; `max_age` in seconds, None until the browser closes."""
    scope, flags = _attributes_of(settings)
    age = "" if max_age is None else f"; Max-Age={max_age}"
    return f"{settings.cookie_name}={token}{scope}{age}{flags}"


def delete_cookie(settings: SessionSettings) -> str:
    """The header's value that removes the cookie, with the attributes it was set with (R2)."""
    scope, flags = _attributes_of(settings)
    past = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    return f"{settings.cookie_name}={scope}{past}{flags}"


def _attributes_of(settings: SessionSettings) -> tuple[str, str]:
    # Cached by these only: hashing all settings takes longer than writing the attributes.
    return _attributes(
        settings.cookie_domain,
        settings.cookie_path,
        settings.cookie_samesite,
        settings.cookie_secure,
        settings.cookie_httponly,
        settings.cookie_partitioned,
    )


@lru_cache
def _attributes(
    domain: str | None, path: str, samesite: str, secure: bool, httponly: bool, partitioned: bool
) -> tuple[str, str]:
    flags = (
        ("; Secure" if secure else "")
        + ("; HttpOnly" if httponly else "")
        + f"; SameSite={samesite.capitalize()}"
        + ("; Partitioned" if partitioned else "")
    )
    return f"; Domain={domain}; Path={path}" if domain else f"; Path={path}", flags
