"""Deletes what accounts no longer need, a few rows at a time.

Any number of processes may do it at once: each deletion repeats its condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from sqlalchemy import ColumnElement, Engine, and_, bindparam, delete, exists, select
from sqlalchemy.orm import DeclarativeBase

from myapp.accounts.models import Browser, Event, Link, Message, SignUp, Throttle
from myapp.sessions.core.lifetime import MINUTE

BATCH: Final = 100
"""Rows per transaction; few enough that nobody waits long for it."""

_HOUR: Final = 60 * MINUTE
_DAY: Final = 24 * _HOUR

KEPT_SIGN_UP: Final = _DAY + _HOUR
"""How long a sign-up is kept to which no link leads and for which no message waits."""
KEPT_THROTTLE: Final = _HOUR
"""How long a throttle that is free again is kept: somebody may be about to count an attempt."""
KEPT_MESSAGE: Final = 7 * _DAY
"""How long a message is kept if nobody sends it."""
KEPT_BROWSER: Final = 400 * _DAY
"""How long an unused browser is remembered: as long as its cookie lives."""

Old: TypeAlias = tuple[type[DeclarativeBase], ColumnElement[bool]]


def tidy(engine: Engine, now: int, history: int) -> int:
    """Delete what is old; events once they are `history` milliseconds old. How many rows went."""
    return sum(_delete(engine, kind, is_old) for kind, is_old in _old(now, history))


def _old(now: int, history: int) -> Iterator[Old]:
    """The tables in this order: a sign-up goes after the links that lead to it."""
    yield Link, Link.expires_at <= now
    # The sender gives up by itself; these were left when mails were turned off.
    yield Message, Message.created_at <= now - KEPT_MESSAGE
    awaited = (
        exists().where(Link.signup_id == SignUp.id),
        exists().where(Message.signup_id == SignUp.id),
    )
    yield SignUp, and_(SignUp.created_at <= now - KEPT_SIGN_UP, *(~each for each in awaited))
    yield Throttle, Throttle.free_at <= now - KEPT_THROTTLE
    yield Browser, Browser.seen_at <= now - KEPT_BROWSER
    yield Event, Event.happened_at <= now - history


def _delete(engine: Engine, kind: type[DeclarativeBase], is_old: ColumnElement[bool]) -> int:
    keys = kind.__mapper__.primary_key
    due = select(*keys).where(is_old).order_by(*keys).limit(BATCH)
    one = delete(kind).where(is_old, *(key == bindparam(f"key_{key.name}") for key in keys))
    gone = 0
    while True:
        with engine.begin() as connection:
            found = connection.execute(due).all()
            rows = [
                {f"key_{key.name}": v for key, v in zip(keys, row, strict=True)} for row in found
            ]
            if rows:
                connection.execute(one, rows)
        gone += len(rows)
        if len(rows) < BATCH:
            return gone
