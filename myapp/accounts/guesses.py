"""Finds passwords of any length that are guessed first: rows of keys, common words, own words.

It looks for what people really do to reach a length; a phrase of three or four words always passes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Final

_ROWS: Final = (
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiopü",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "zaq1xsw2cde3vfr4bgt5nhy6mju7",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "qawsedrftgyhujikolp",
)
_STEP: Final = 3
"""Keys in a row that make a piece of one."""
_FEW: Final = 4
"""Fewer characters than this never make a password."""

_UNSHIFTED: Final = str.maketrans("!@#$%^&*()", "1234567890")
# The letters that digits and signs resemble; `1` resembles two.
_LETTERS: Final = tuple(str.maketrans("@$!0345781", f"asioeastb{one}") for one in "il")


def is_sequence(text: str) -> bool:
    """Whether it repeats a few characters, or consists almost only of rows of keys."""
    folded = text.casefold()
    unit = _unit(folded)
    if len(unit) <= _FEW or (unit != folded and not re.search(r"[^\W\d_]", unit)):
        return True
    return any(len(_off_rows(each)) < _FEW for each in (folded, folded.translate(_UNSHIFTED)))


def is_made_of(text: str, words: Collection[str]) -> bool:
    """Whether little is left once the words, digits and signs are taken away."""
    return any(len(rest) < _FEW for rest in _rests(text, words))


def is_common(text: str, words: Collection[str] = ()) -> bool:
    """Whether what is left without the words is one or two of the passwords that many use."""
    return any(_is_known(core) for rest in _rests(text, words) for core in _cores(rest))


def words_of(email: str) -> set[str]:
    """The parts of an address that its owner might make a password of."""
    local, _, domain = email.casefold().partition("@")
    parts = re.split(r"[\W_\d]+", f"{local}.{domain.rpartition('.')[0]}")
    whole = {local, "".join(filter(str.isalpha, local))}
    return {part for part in {*parts, *whole} if len(part) >= _STEP}


def _rests(text: str, words: Collection[str]) -> Iterator[str]:
    """What is left without the words; the longest first, since one may be part of another."""
    folded = text.casefold()
    bare = "".join(filter(str.isalnum, folded))
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True) if word)
    for each in (folded, bare, *(folded.translate(table) for table in _LETTERS)):
        rest = re.sub(pattern, "", each) if pattern else each
        # If it contains none of the words, this check does not apply.
        yield rest if rest == each else _without_edges(rest)


def _cores(text: str) -> Iterator[str]:
    """What remains of a text without what is put around a word to make it longer."""
    inner = _unit(_without_edges(_unit(text)))
    for table in ({}, *_LETTERS):
        core = "".join(filter(str.isalnum, inner.translate(table)))
        yield core
        yield _unit("".join(filter(str.isalpha, core)))
        yield _off_rows(core)


def _is_known(core: str) -> bool:
    common = _common()
    if core in common:
        return True
    return any(core[:at] in common and core[at:] in common for at in range(1, len(core)))


def _without_edges(text: str) -> str:
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)


def _unit(text: str) -> str:
    """The shortest beginning that makes the whole by being repeated, the last time in part."""
    for length in range(1, len(text) // 2 + 1):
        if text[length:] == text[:-length]:
            return text[:length]
    return text


def _off_rows(text: str) -> str:
    """The characters that are in no row of keys, and not one of three alike."""
    off = list(text)
    for at in range(len(text) - _STEP + 1):
        piece = text[at : at + _STEP]
        if piece in _pieces() or len(set(piece)) == 1:
            off[at : at + _STEP] = [""] * _STEP
    return "".join(off)


@cache
def _pieces() -> frozenset[str]:
    rows = [row[::way] for row, way in product(_ROWS, (1, -1))]
    return frozenset(row[at : at + _STEP] for row in rows for at in range(len(row) - _STEP + 1))


@cache
def _common() -> frozenset[str]:
    lines = files(__package__).joinpath("common_passwords.txt").read_text("ascii").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
