"""Sweeps expired rows, so that several sweepers neither wait for each other nor for requests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

import myapp.sessions.sql.statements as sql
from myapp.sessions.sql.connection import Connection

_SPREAD: Final = 4

Due = Sequence[tuple[Any, ...]]


def sweep_claimed(connection: Connection, now: int, limit: int) -> int:
    """Sweep what no other sweeper has, in a transaction; how many rows were looked at.

    For a database that can pass over locked rows: nobody waits.
    """
    values = {"now": now, "limit": limit}
    return _sweep(connection, connection.fetch_all(sql.due_and_free, values), now)


def sweep_sampled(connection: Connection, now: int, limit: int) -> int:
    """Sweep some of what is due, each statement for itself; other sweepers mostly take others."""
    due = connection.fetch_all(sql.due, {"now": now, "limit": _SPREAD * limit})
    return _sweep(connection, random.SystemRandom().sample(due, min(limit, len(due))), now)


def _sweep(connection: Connection, due: Due, now: int) -> int:
    expired = [digest for digest, expires_at in due if expires_at <= now]
    alive = [digest for digest, expires_at in due if expires_at > now]
    # Both tell again what is expired.
    if expired:
        connection.execute(sql.sweep, {"digests": expired, "now": now})
    if alive:
        connection.execute(sql.postpone, {"digests": alive, "now": now})
    return len(due)
