"""Puts a bug in the place of a function, in a copy of the sources and in each process that uses it.

The function's module gets one more line, its last: so whoever imports the function gets the bug.
Nothing of ours is imported before that line has run, or somebody would have the function itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.bugs.bug import Bug

_LINE = "\n__import__({module!r}, fromlist=['*']).replace(__name__, {path!r}, {name!r})\n"


def plant(bug: Bug, folder: Path) -> None:
    """Plant it in the sources of a folder. Raise LookupError where there is no such function."""
    module, _, path = bug.function.partition(":")
    file = folder / f"{module.replace('.', '/')}.py"
    try:
        resolve_name(bug.function)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"{bug.name}: there is no {bug.function}") from error
    with file.open("a", encoding="utf-8") as source:
        source.write(_LINE.format(module=__name__, path=path, name=bug.name))


def replace(module: str, path: str, name: str) -> None:
    """Let a bug do the work of a function of a module that has just been made."""
    *owners, last = path.split(".")
    owner: Any = sys.modules[module]
    if owners:
        owner = attrgetter(".".join(owners))(owner)
    setattr(owner, last, _standing_in_for(getattr(owner, last), name))


def _standing_in_for(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(function)
    def stand_in(*arguments: Any, **options: Any) -> Any:
        return _does(name)(function, *arguments, **options)

    return stand_in


def _does(name: str) -> Callable[..., Any]:
    # The bugs import what they break, so they are asked for only where one is called.
    from tests.faults.bugs.bug import BUGS

    return BUGS[name].does
