"""Trims the locked requirements to what setup.cfg still needs; the tested versions stay locked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from myapp.new.files import Files

_ENTRY: Final = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==.*\n(?:[ \t]+.*\n)*", re.M)
_ROOT: Final = "myapp (setup.cfg)"
_LOCKS: Final = ("requirements.txt", "requirements-dev.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A locked package, and the packages that need it."""

    name: str
    text: str
    wanted_by: frozenset[str]


def trim(files: Files) -> None:
    """Drop each package that nothing needs any more."""
    asked = _asked(files["setup.cfg"].decode())
    for path in _LOCKS:
        files[path] = _trimmed(files[path].decode(), asked).encode()


def _trimmed(text: str, asked: set[str]) -> str:
    entries = [_entry(found) for found in _ENTRY.finditer(text)]
    kept = {entry.name for entry in entries}
    while True:
        wanted = {entry.name for entry in entries if _is_wanted(entry, kept, asked)}
        if wanted == kept:
            break
        kept &= wanted
    head = text[: text.index(entries[0].text)]
    return head + "".join(_told(entry, kept, asked) for entry in entries if entry.name in kept)


def _told(entry: _Entry, kept: set[str], asked: set[str]) -> str:
    """An entry as pip-compile would write it, with the packages that still need it."""
    body = re.sub(r"^    # via.*(?:\n    #   .*)*\n", "", entry.text, flags=re.M)
    stay = [
        who
        for who in sorted(entry.wanted_by)
        if who in kept or (who == _ROOT and entry.name in asked) or who.startswith("-c ")
    ]
    if len(stay) == 1:
        return f"{body}    # via {stay[0]}\n"
    return f"{body}    # via\n" + "".join(f"    #   {who}\n" for who in stay)


def _is_wanted(entry: _Entry, kept: set[str], asked: set[str]) -> bool:
    if _ROOT in entry.wanted_by and entry.name in asked:
        return True
    return bool(entry.wanted_by & kept)


def _entry(found: re.Match[str]) -> _Entry:
    _, _, told = found[0].partition("# via")
    lines = (line.strip().removeprefix("#").strip() for line in told.splitlines())
    wanted_by = frozenset(line for line in lines if line)
    return _Entry(name=_plain(found["name"]), text=found[0], wanted_by=wanted_by)


def _asked(cfg: str) -> set[str]:
    """The packages that setup.cfg names, in any list."""
    lines = re.findall(r"^    ([A-Za-z0-9._-]+)(?:\[[^\]]*\])?(?: *[<>=!~].*)?$", cfg, re.M)
    return {_plain(name) for name in lines}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
