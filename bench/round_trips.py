"""How often each work asks the database, heard on the wire. Nothing is timed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from bench.contender import Contender, ContenderFailed, Running
from bench.works import RARE
from harness.wire import Tap, Wire, counting, tapped

# Their setting up can't be told from themselves, or they are mostly something else.
UNHEARD: Final = ("touches", "conflicts")
FRESH: Final = ("sign-in", "sign-out")
"""Each call of these is preceded by a `first`, which is heard too and taken off again."""


def round_trips(contender: Contender, url: str, works: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each work: round trips and the verbs of the statements."""
    with tapped(url) as tap, Running(contender, tap.url, RARE) as running:
        for work in works:
            if work in UNHEARD or not running.can(work):
                continue
            try:
                trips, verbs = _heard(running, tap, work)
            except ContenderFailed:
                continue
            yield {
                "contender": contender.name,
                "work": work,
                "round_trips": trips,
                "statements": verbs,
            }


def _heard(running: Running, tap: Tap, work: str) -> tuple[int, list[str]]:
    """Round trips and verbs of one call, after so many that nothing is the first of its kind."""
    running.run(work, RARE)
    wire = _listen(running, tap, work)
    if work not in FRESH:
        return wire.round_trips, wire.verbs
    running.run("first", RARE)
    before = _listen(running, tap, "first")
    return wire.round_trips - before.round_trips, wire.verbs[len(before.verbs) :]


def _listen(running: Running, tap: Tap, work: str) -> Wire:
    with counting(tap) as wire:
        running.run(work, 1)
    return wire
