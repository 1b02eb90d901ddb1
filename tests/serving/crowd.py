"""A table full of sessions, half of them expired, and what must be left of it after sweeping.

The rows are made without a manager, by the thousand; a manager has to be able to load them.
"""

import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, insert, select

from myapp.database import create_database_engine
from myapp.sessions import SessionManager, make_manager
from myapp.sessions.core.codec import Codec, Content, MessagePack
from myapp.sessions.core.lifetime import SECOND, SteadyClock
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.sql.model import metadata, table
from myapp.sessions.sql.store import SqlStore

IDLE_TIMEOUT: Final = 3600 * SECOND
NAME: Final = "session"
_BATCH: Final = 5_000
_USERS: Final = 10_000
_VALUES: Final = {"name": "x" * 60, "cart": list(range(20))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What was put into the table."""

    now: int
    """The moment at which half of the rows were expired."""
    expired: int
    live: frozenset[str]
    """The handles of those that have to survive."""


def manager_of(url: str) -> SessionManager:
    """A manager of the sessions in a database, whose sessions are touched often."""
    settings = read_session_settings(
        {"session.idle_timeout": "1h", "session.touch_interval": "1s"}, {}
    )
    return make_manager(settings, SqlStore(url))


def fill(url: str, rows: int) -> Crowd:
    """Create the table in an empty database, and so many rows."""
    now = SteadyClock()()
    live: set[str] = set()
    engine = create_database_engine(url)
    metadata.create_all(engine)
    for start in range(0, rows, _BATCH):
        batch = list(_rows(now, range(start, min(start + _BATCH, rows))))
        with engine.begin() as connection:
            connection.execute(insert(table), batch)
        live.update(row["handle"] for row in batch if row["expires_at"] > now)
    engine.dispose()
    return Crowd(now=now, expired=rows - len(live), live=frozenset(live))


def complaints(url: str, crowd: Crowd) -> list[str]:
    """What is wrong after everything was swept; nothing, if all is well."""
    manager = manager_of(url)
    lost = crowd.live - {
        info.handle for info, values in manager.iterate() if values.keys() >= {"name", "cart"}
    }
    manager.store.close()
    left = _count_expired(url, crowd.now)
    said = [f"{len(lost)} live sessions were lost or can't be read"] if lost else []
    return said + ([f"{left} expired rows are left"] if left else [])


def _count_expired(url: str, now: int) -> int:
    engine = create_database_engine(url)
    with engine.connect() as connection:
        query = select(func.count()).select_from(table).where(table.c.expires_at <= now)
        count: int = connection.execute(query).scalar_one()
    engine.dispose()
    return count


def _rows(now: int, numbers: range) -> Iterator[dict[str, Any]]:
    data = Codec(MessagePack(), 65_536).encode(Content(values=_VALUES, csrf="x" * 32))
    for number in numbers:
        ago = random.randrange(IDLE_TIMEOUT // 2)
        seen_at = now - ago - (IDLE_TIMEOUT if number % 2 else 0)
        expires_at = seen_at + IDLE_TIMEOUT
        yield {
            "digest": secrets.token_bytes(32),
            "manager": NAME,
            "handle": secrets.token_urlsafe(16),
            "version": 1,
            "data": data,
            "created_at": seen_at,
            "seen_at": seen_at,
            "deadline": seen_at + 24 * IDLE_TIMEOUT,
            "expires_at": expires_at,
            "user_id": str(random.randrange(_USERS)),
            "address": "192.0.2.1",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            # One live row in five was touched since: the sweeper looks at it and puts it off.
            "sweep_at": now - ago if number % 10 == 0 else expires_at,
        }
