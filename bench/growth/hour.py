"""An hour's touches and saves on PostgreSQL, told by a clock of our own in a minute or so.

An update is heap-only (HOT) where its page has room and no indexed column changes: then no index
is written. The sessions in use are those that began last. They lie side by side, so that many
updates fall on few pages, which is the harder case.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from msgspec.structs import replace

from bench.growth.places import connected
from bench.growth.rows import END, IDLE_TIMEOUT, digest
from harness.waiting import wait_until
from myapp.sessions.core.lifetime import MINUTE
from myapp.sessions.core.store import StoredSession
from myapp.sessions.sql.model import table
from myapp.sessions.sql.store import SqlStore

HOUR: Final = 60 * MINUTE
TOUCHES: Final = 15
SAVES: Final = 5
"""Of each session that is in use within the hour; a session is touched once a minute at most."""
_GROWS: Final = 5
"""Every so many saves add something; the others change a few bytes."""


@dataclass(frozen=True, slots=True, order=True)
class _Event:
    moment: int
    number: int
    saves: bool


def live_through(store: SqlStore, url: str, rows: int, active: int) -> dict[str, Any]:
    """An hour of so many sessions: the share of updates that were HOT, and what the log grew by.

    The store's connections are closed in the end.
    """
    events = sorted(_events(range(rows - active, rows)))
    loaded = {n: store.load([digest(n)])[0] for n in range(rows - active, rows)}
    store.close()
    began = time.perf_counter()
    with _counted(url) as counts:
        for event in events:
            if event.saves:
                loaded[event.number] = _save(store, loaded[event.number], event.moment)
            else:
                _touch(store, event)
        store.close()
    return {"rows": rows, "active": active, "seconds": time.perf_counter() - began} | counts


def _events(numbers: range) -> Iterator[_Event]:
    chance = random.Random(1)
    for number in numbers:
        for turn in range(TOUCHES + SAVES):
            yield _Event(END + chance.randrange(HOUR), number, turn < SAVES)


def _touch(store: SqlStore, event: _Event) -> None:
    store.touch(
        digest(event.number),
        seen_at=event.moment,
        expires_at=event.moment + IDLE_TIMEOUT,
        not_since=event.moment - MINUTE,
    )


def _save(store: SqlStore, session: StoredSession, now: int) -> StoredSession:
    changed = replace(
        session,
        version=session.version + 1,
        data=_other(session.data, session.version),
        seen_at=now,
        expires_at=now + IDLE_TIMEOUT,
    )
    if not store.update(changed, session.version):
        raise LookupError("a session is missing")
    return changed


def _other(data: bytes, version: int) -> bytes:
    """Data of which a counter in the middle has changed; now and then something is added."""
    middle = len(data) // 2
    added = b"added to it" if version % _GROWS == 0 else b""
    return data[:middle] + version.to_bytes(4) + data[middle + 4 :] + added


@contextmanager
def _counted(url: str) -> Iterator[dict[str, Any]]:
    """What PostgreSQL counted within the block."""
    counts: dict[str, Any] = {}
    before = _counters(url)
    yield counts
    updates, hot, log = (now - then for now, then in zip(_counters(url), before, strict=True))
    counts |= {"updates": updates, "hot": hot / updates, "log": log / updates}


def _counters(url: str) -> tuple[int, int, int]:
    """Updates, those that were HOT, and bytes of the write-ahead log, since the beginning."""
    query = """
        SELECT n_tup_upd, n_tup_hot_upd, pg_current_wal_insert_lsn() - '0/0'::pg_lsn
        FROM pg_stat_user_tables WHERE relname = %s"""
    with connected(url) as connection:
        # A session of PostgreSQL tells its figures once a second, and when it ends.
        wait_until(lambda: _is_alone(connection), "the end of the other connections")
        found = connection.execute(query, [table.name]).fetchone()
    assert found is not None
    return int(found[0]), int(found[1]), int(found[2])


def _is_alone(connection: psycopg.Connection) -> bool:
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'"""
    return connection.execute(query).fetchone() == (1,)
