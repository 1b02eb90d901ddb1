"""Goes before Pyramid: shields it from Cookie headers that WebOb can't read quickly and safely.

WebOb reads a Cookie header in time that grows with the square of its length, and raises on
some; everything here is linear, and nothing here raises whatever a client sends (L6).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import getpid
from typing import Any, Final

from myapp.sessions.core.sweep import Sweeper
from myapp.sessions.web.cookie import ORIGINAL
from myapp.sessions.web.headers import add_vary
from myapp.sessions.web.late import LOOKED_LATE, RESPONDED

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


def shielding(policy: Any, sweepers: Sequence[Sweeper]) -> Any:
    """An execution policy that goes before another: the first to see a request, and the last to
    see its response.
    """
    if getattr(policy, "shields", False):
        return policy

    def shielding_policy(environ: dict[str, Any], router: Any) -> Any:
        if "HTTP_COOKIE" in environ:
            shield(environ)
        for sweeper in sweepers:
            if sweeper.process != getpid():
                sweeper.ensure_running()
        environ[RESPONDED] = False
        response = policy(environ, router)
        environ[RESPONDED] = True
        if environ.pop(LOOKED_LATE, False):
            add_vary(response)
        return response

    shielding_policy.shields = True  # type: ignore[attr-defined]  # a function has no such name
    return shielding_policy


def shield(environ: dict[str, Any]) -> None:
    """Replace a Cookie header that WebOb can't read quickly and safely by one that it can.

    What WebOb would have read of it stays, in order; the original stays for `cookie.tokens_in`.
    """
    header = environ.get("HTTP_COOKIE")
    if header and (len(header) > _MAX_HEADER or not _WELL_FORMED.fullmatch(header)):
        environ[ORIGINAL] = header
        environ["HTTP_COOKIE"] = _mended(header)


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
