"""The session cookie, read and written by hand, and the shield for the whole Cookie header.

WebOb reads a Cookie header in time that grows with the square of its length, and raises on
some; everything here is linear, and nothing here raises whatever a client sends (L6).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.token import SHAPE

MAX_TOKENS: Final = 3
"""So many different tokens of one name are looked up at most (L5)."""

_ORIGINAL: Final = "myapp.sessions.cookie_header"

# A header in which each pair is one that WebOb reads in one step; nearly all are.
_NAME: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PLAIN: Final = r"[\w~!@#$%^&*()+=\-`.?|:/{}<>']*"
_WELL_FORMED: Final = re.compile(rf"(?:{_NAME}={_PLAIN}(?:; |$))*", re.ASCII)

# One pair of any other header, as far as WebOb can read it: a name, then a value in quotes, a
# date or plain; what follows the value until the next semicolon is what WebOb would search again
# and again, and is left out.
_PAIR: Final = re.compile(
    rf";[ \t]*({_NAME})[ \t]*=[ \t]*"
    r'("(?:[ !#-:<-\[\]-~\x80-\xff]|\\[!-:<-~])*"'
    r"|\w{3}, [\w-]{9,11} [\d:]{8} GMT"
    r"|(?:[\w~!@#$%^&*()+=\-`.?|:/{}<>']|\\[!-:<-~])*)"
    r"[^;]*",
    re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\([0-3][0-7][0-7]|.)")
_BEYOND_ASCII: Final = re.compile(r"\\[23]|[^\x00-\x7f]")

# What is longer is cut off, of the header that the rest of the application sees. Most servers
# and proxies refuse such a header; waitress takes 256 KiB.
_MAX_HEADER: Final = 16 * 1024


def shield(environ: dict[str, Any]) -> None:
    """Replace a Cookie header that WebOb can't read quickly and safely by one that it can.

    What WebOb would have read of it stays, in order; the original stays for `read`.
    """
    header = environ.get("HTTP_COOKIE")
    if header and (len(header) > _MAX_HEADER or not _WELL_FORMED.fullmatch(header)):
        environ[_ORIGINAL] = header
        environ["HTTP_COOKIE"] = _mended(header)


def read(environ: dict[str, Any], name: str) -> Sequence[str]:
    """The different tokens that the client sent under this name; malformed ones do not count.

    More than MAX_TOKENS are never sent by an honest browser: then none is returned.
    """
    header: str = environ.get(_ORIGINAL) or environ.get("HTTP_COOKIE") or ""
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
    header: str = environ.get(_ORIGINAL) or environ.get("HTTP_COOKIE") or ""
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


def _mended(header: str) -> str:
    if len(header) > _MAX_HEADER:
        header = header[:_MAX_HEADER].rpartition(";")[0]
    pairs = _PAIR.findall(f";{header}")
    return "; ".join(f"{name}={_clear(value)}" for name, value in pairs if _decodes(value))


def _clear(value: str) -> str:
    """A value with its quotes and backslashes as octal escapes.

    WebOb takes the end of `"a\\\\"` for an escaped quote, and would look for another one.
    """
    return value.replace(r"\\", r"\134").replace(r"\"", r"\042")


def _decodes(value: str) -> bool:
    """Whether WebOb can decode a value: it may hold or spell bytes that are no UTF-8."""
    if not _BEYOND_ASCII.search(value):
        return True
    plain = _ESCAPE.sub(lambda m: chr(int(m[1], 8)) if len(m[1]) == 3 else m[1], value)
    try:
        plain.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class CookieWriter:
    """Writes the Set-Cookie header of one manager."""

    def __init__(self, settings: SessionSettings) -> None:
        self.name = settings.cookie_name
        self.secure = settings.cookie_secure
        path = f"; Path={settings.cookie_path}"
        domain = f"; Domain={settings.cookie_domain}" if settings.cookie_domain else ""
        flags = (
            ("; Secure" if settings.cookie_secure else "")
            + ("; HttpOnly" if settings.cookie_httponly else "")
            + f"; SameSite={settings.cookie_samesite.capitalize()}"
            + ("; Partitioned" if settings.cookie_partitioned else "")
        )
        self._scope, self._flags = domain + path, flags
        past = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        self.deletion = f"{self.name}={self._scope}{past}{flags}"
        """The header's value that removes the cookie, with the attributes it was set with (R2)."""

    def set(self, token: str, max_age: int | None) -> str:
        """The header's value that stores a token; `max_age` in seconds, None until browser end."""
        age = "" if max_age is None else f"; Max-Age={max_age}"
        return f"{self.name}={token}{self._scope}{age}{self._flags}"
