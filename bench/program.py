"""The contender's side of the protocol: lines on standard input and output.

It answers `ready` once it can serve, and then, until `quit` or the end of its input:

    works              -> ok NAME NAME …
    check WORK         -> ok, after the work was done and what it did was looked at
    run WORK COUNT     -> ok NANOSECONDS, the time of COUNT calls by its own monotonic clock

What it can't do it answers with `unsupported`, and what went wrong with `error` and a reason.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Collection
from typing import Protocol, TextIO


class Program(Protocol):
    """What a contender in Python is."""

    works: Collection[str]

    def check(self, work: str) -> None:
        """Do a work and look at what it did. Raises whatever is wrong."""

    def run(self, work: str, count: int) -> int:
        """Nanoseconds for this many calls; what they need is made ready outside of them."""


def own_output() -> TextIO:
    """Standard output for answers alone: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def serve(program: Program, answers: TextIO) -> None:
    """Say `ready`, and answer until `quit` or the end of the input."""
    print("ready", file=answers)
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        print(_answer(program, words), file=answers)


def _answer(program: Program, words: list[str]) -> str:
    try:
        match words:
            case ["works"]:
                return " ".join(["ok", *program.works])
            case ["check" | "run", work, *_] if work not in program.works:
                return "unsupported"
            case ["check", work]:
                program.check(work)
                return "ok"
            case ["run", work, count]:
                return f"ok {program.run(work, int(count))}"
    except Exception as error:
        traceback.print_exc()
        return f"error {type(error).__name__}: {' '.join(str(error).split())}"
    return "unsupported"
