"""What a planted bug is: a function of ours, what does its work instead, and what catches that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Replacement = Callable[..., Any]
"""Called with the function that it stands in for, then with what that was called with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A module to run, which ends with status 1 where it finds something wrong."""

    module: str
    words: tuple[str, ...]
    found: str
    """What its output then holds, as a regular expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A function that does something else, and what is to catch it."""

    name: str
    function: str
    """Where it is, as in an entry point: `package.module:Class.method`."""
    does: Replacement
    check: Check


BUGS: Final[dict[str, Bug]] = {}
"""All that there are, by name."""


def bug(name: str, *, function: str, caught_by: Check) -> Callable[[Replacement], Replacement]:
    """Add a bug: what is decorated does the work of `function`."""

    def add(does: Replacement) -> Replacement:
        BUGS[name] = Bug(name=name, function=function, does=does, check=caught_by)
        return does

    return add


def checker(rule: str, operations: int = 4000, *powers: str, database: str = "sqlite") -> Check:
    """A run of the checker, and the rule that is broken."""
    length = ("--operations", str(operations), "--seconds", "120")
    words = ("--database", database, *length, "--seed", "planted", *powers)
    return Check(
        module="tests.faults.checker", words=words, found=rf"violations +[1-9].*'{rule}': \d+"
    )


def pytest(file: str, word: str) -> Check:
    """The tests of a file that have a word in their names."""
    return Check(module="pytest", words=("-q", "-n", "0", "-k", word, file), found="failed")
