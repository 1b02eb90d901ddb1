"""Ends many sessions at once, a batch at a time: what was done stays done if it is interrupted.

Each ends as by its handle: its row is deleted, and since no save ever inserts a row that it has
loaded, no late request brings it back (S3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from myapp.sessions.core.manager import SessionManager, revoked
from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.core.survey import Which, survey_of

BATCH: Final = 200
"""Sessions per transaction; few enough that no request waits long for its locks."""


def end_many(manager: SessionManager, which: Which, batch: int = BATCH) -> Iterator[int]:
    """End all sessions that are meant; yields after each batch how many ended.

    One that is renewed meanwhile goes on under another key, perhaps where was looked already: so
    it is looked again, for what began before this did, until nothing is left. What begins
    meanwhile may stay.
    """
    now = manager.kind.clock()
    before = now if which.began_before is None else min(now, which.began_before)
    yield from _look_once(manager, which, batch)
    again = replace(which, began_before=before)
    while sum(ended := list(_look_once(manager, again, batch))):
        yield from ended


def _look_once(manager: SessionManager, which: Which, batch: int) -> Iterator[int]:
    rows = survey_of(manager.store, manager.name).matching(which)
    while some := list(islice(rows, batch)):
        yield _end(manager, some)


def _end(manager: SessionManager, rows: Sequence[StoredSession]) -> int:
    """End these sessions, or what they have become meanwhile; how many ended."""
    ended = manager.store.end([Ending(row.digest, "revoked") for row in rows])
    left = set[bytes]()
    if ended < len(rows):
        # A marker is left of what was renewed, whose handle leads on, or was signed out.
        left = {row.digest for row in manager.store.load([row.digest for row in rows])}
    for row in rows:
        if row.digest not in left:
            manager.kind.publish(revoked(manager.kind, row))
    return ended + sum(manager.end(row.handle or "") for row in rows if row.digest in left)
