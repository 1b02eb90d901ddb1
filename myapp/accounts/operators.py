"""What `myapp-sessions INI user ID` shows of an account."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import NullPool, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from myapp.accounts import throttle
from myapp.accounts.models import Browser, Event, Throttle, User
from myapp.database import create_database_engine, read_pooler, read_url, reason_of
from myapp.scripts.sessions.output import one_line
from myapp.sessions.core.lifetime import SteadyClock, to_datetime

EVENTS: Final = 10
"""How many of an account's newest events are shown."""


def about_user(settings: Mapping[str, Any], user_id: str) -> dict[str, Any]:
    """The account, what its throttles count, and its newest events.

    Raises click's one line, which names the application's database: sessions may have another.
    """
    pooler = read_pooler(settings, os.environ)
    url = read_url(settings, os.environ).value
    engine = create_database_engine(url, pooler=pooler, poolclass=NullPool)
    try:
        with Session(engine) as dbsession:
            return _about(dbsession, user_id, SteadyClock()())
    except DBAPIError as error:
        raise one_line(
            f"can't read accounts from the application's database: {reason_of(error)}"
        ) from error
    finally:
        engine.dispose()


def _about(dbsession: Session, user_id: str, now: int) -> dict[str, Any]:
    number = int(user_id) if user_id.isascii() and user_id.isdigit() and len(user_id) < 10 else 0
    user = dbsession.get(User, number)
    if user is None:
        return {"account": None, "attempts": [], "events": []}
    return {
        "account": {
            "email": user.email,
            "role": user.role,
            "confirmed": _moment(user.confirmed_at),
            "disabled": _moment(user.disabled_at),
        },
        "attempts": list(_attempts(dbsession, user, now)),
        "events": list(_events(dbsession, user)),
    }


def _attempts(dbsession: Session, user: User, now: int) -> Iterator[dict[str, Any]]:
    """What each limit counts, including successes; the count is forgotten at `forgotten`."""
    for limit, subject in _subjects(dbsession, user):
        found = dbsession.get(Throttle, throttle.key_of(limit, subject))
        if found is not None and found.free_at > now:
            wait = found.free_at - (now + (limit.burst - 1) * limit.interval_ms)
            yield {
                "limit": limit.name,
                "counted": -(-(found.free_at - now) // limit.interval_ms),
                "allowed": limit.burst,
                "wait_seconds": max(0, -(-wait // 1000)),
                "forgotten": to_datetime(found.free_at),
            }


def _subjects(dbsession: Session, user: User) -> Iterator[tuple[throttle.Limit, str]]:
    """The limits that count by account; those by network belong to no account."""
    yield throttle.SIGN_IN_BY_ACCOUNT, user.email
    yield throttle.RESET_BY_ADDRESS, user.email
    yield throttle.SIGN_UP_BY_ADDRESS, user.email
    for digest in dbsession.scalars(select(Browser.digest).where(Browser.user_id == user.id)):
        yield throttle.SIGN_IN_BY_BROWSER, f"{user.email} {digest.hex()}"


def _events(dbsession: Session, user: User) -> Iterator[dict[str, Any]]:
    newest = select(Event).where(Event.user_id == user.id).order_by(Event.id.desc()).limit(EVENTS)
    for event in dbsession.scalars(newest):
        when = to_datetime(event.happened_at)
        yield {"at": when, "what": event.kind, "address": event.address}


def _moment(moment: int | None) -> datetime | None:
    return None if moment is None else to_datetime(moment)
