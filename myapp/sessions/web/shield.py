"""Runs before Pyramid, to shield it from Cookie headers that WebOb can't read quickly and safely.

WebOb's time to read a Cookie header grows with the square of its length, and it raises on some
headers. Everything here is linear, and nothing a client sends makes it raise (L6).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, Protocol

from myapp.sessions.core.fork import process_id
from myapp.sessions.core.loading import MAX_TOKENS
from myapp.sessions.web.cookie import PROTECTED, pairs_in
from myapp.sessions.web.headers import add_vary
from myapp.sessions.web.late import LOOKED_LATE, RESPONDED

# A header whose pairs WebOb reads in one step each; nearly all headers are like this.
_NAME: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PLAIN: Final = r"[\w~!@#$%^&*()+=\-`.?|:/{}<>']*"
_WELL_FORMED: Final = re.compile(rf"(?:{_NAME}={_PLAIN}(?:; |$))*", re.ASCII)

# A comma followed by another cookie: some servers join Cookie lines with commas, and WebOb finds
# that cookie, too.
_JOINT: Final = rf",(?=[ \t]*{_NAME}[ \t]*=)(?![ \t]*(?i:{PROTECTED}))"

# One pair of any other header, as far as WebOb can read it: a name, then a value in quotes, a
# date or plain; what follows the value until the next pair is what WebOb would search again and
# again, and is left out.
_PAIR: Final = re.compile(
    rf"(?:;|{_JOINT})[ \t]*({_NAME})[ \t]*=[ \t]*"
    r'("(?:[ !#-:<-\[\]-~\x80-\xff]|\\[!-:<-~])*"'
    r"|\w{3}, [\w-]{9,11} [\d:]{8} GMT"
    r"|(?:[\w~!@#$%^&*()+=\-`.?|:/{}<>']|\\[!-:<-~])*)"
    rf"[^;,]*(?:(?!{_JOINT}),[^;,]*)*",
    re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\([0-3][0-7][0-7]|.)")
_BEYOND_ASCII: Final = re.compile(r"\\[23]|[^\x00-\x7f]")

# What is longer is cut off, of the header that the rest of the application sees. Most servers
# and proxies refuse such a header; waitress takes 256 KiB.
_MAX_HEADER: Final = 16 * 1024


class Companion(Protocol):
    """Something with a thread in each process, which starts with the first request there."""

    @property
    def process(self) -> int:
        """The process in which the thread runs."""

    def ensure_running(self) -> None:
        """Start the thread of this process if there is none yet. Never raises."""


def shielding(policy: Any, companions: Sequence[Companion], names: Collection[str]) -> Any:
    """An execution policy that wraps another one: the first to see a request, and the last to see
    its response. `names` are the names of our own cookies.
    """
    if getattr(policy, "shields", False):
        return policy

    def shielding_policy(environ: dict[str, Any], router: Any) -> Any:
        if "HTTP_COOKIE" in environ:
            shield(environ, names)
        process = process_id() if companions else 0
        for companion in companions:
            if companion.process != process:
                companion.ensure_running()
        environ[RESPONDED] = False
        response = policy(environ, router)
        environ[RESPONDED] = True
        if LOOKED_LATE in environ:
            del environ[LOOKED_LATE]
            add_vary(response)
        return response

    shielding_policy.shields = True  # type: ignore[attr-defined]  # a function has no such name
    return shielding_policy


def shield(environ: dict[str, Any], names: Collection[str]) -> None:
    """Replace a Cookie header that WebOb can't read quickly and safely with one that it can.

    Everything that WebOb would have read stays, in order, and so does each of our own cookies,
    which have these names: only the header in the environ tells what a client sent.
    """
    header = environ.get("HTTP_COOKIE")
    if header and (len(header) > _MAX_HEADER or not _WELL_FORMED.fullmatch(header)):
        environ["HTTP_COOKIE"] = _mended(header, [name for name in names if name in header])


def _mended(header: str, names: Sequence[str]) -> str:
    """The rewritten header; if it is too long, cookies are left out from the end, but not ours."""
    pairs = list(_pairs(header, names))
    room = _MAX_HEADER - sum(len(pair) + 2 for pair, ours in pairs if ours)
    kept = []
    for pair, ours in pairs:
        if not ours:
            room -= len(pair) + 2
        if ours or room >= 0:
            kept.append(pair)
    return "; ".join(kept)


def _pairs(header: str, names: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The pairs that stay, in order, each with whether it is one of ours."""
    end = 0
    for begins, ends, pair in sorted(pair for name in names for pair in _ours(header, name)):
        if end < _MAX_HEADER:
            for other in _others(header, end, begins, names):
                yield other, False
        if pair:
            yield pair, True
        end = ends
    for other in _others(header, end, len(header), names):
        yield other, False


def _ours(header: str, name: str) -> Iterator[tuple[int, int, str]]:
    """Where our cookies of a name are, and the pair that stays of each: of equal ones one, and no
    more than tell that there are too many.
    """
    tokens: set[str] = set()
    for begins, ends, token in pairs_in(header, name):
        stays = token not in tokens and len(tokens) <= MAX_TOKENS
        if stays:
            tokens.add(token)
        if stays or begins < _MAX_HEADER:
            yield begins, ends, f"{name}={token}" if stays else ""


def _others(header: str, begins: int, ends: int, names: Sequence[str]) -> Iterator[str]:
    """The pairs in a stretch of the header that WebOb can read, but none of ours."""
    stretch = header[begins : min(ends, _MAX_HEADER)]
    if ends > _MAX_HEADER:
        # Half a value may mean something else.
        stretch = stretch.rpartition(";")[0]
    for name, value in _PAIR.findall(f";{stretch[1:] if begins else stretch}"):
        if not _decodes(value):
            continue
        pair = f"{name}={_clear(value)}"
        # What was left out behind a value may have been all that was wrong with one of ours.
        if any(own in pair and any(pairs_in(pair, own)) for own in names):
            pair = f"{name}="
        yield pair


def _clear(value: str) -> str:
    """A value with its quotes and backslashes as octal escapes.

    WebOb takes the end of `"a\\\\"` for an escaped quote, and would look for another one.
    """
    return value.replace(r"\\", r"\134").replace(r"\"", r"\042")


def _decodes(value: str) -> bool:
    """Whether WebOb can decode a value, which may contain or spell bytes that are not UTF-8."""
    if not _BEYOND_ASCII.search(value):
        return True
    plain = _ESCAPE.sub(lambda m: chr(int(m[1], 8)) if len(m[1]) == 3 else m[1], value)
    try:
        plain.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
