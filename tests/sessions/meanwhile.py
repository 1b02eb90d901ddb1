"""What another request does while a view runs, and what the cookie says compared with the row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from pyramid.request import Request

from myapp.sessions import Session, StoredSession, get_manager
from myapp.sessions.core.token import digest
from tests.sessions.app import App, cookies_of, token_of

Act = Callable[[Session], Any]


@contextmanager
def meanwhile(request: Request) -> Iterator[Session]:
    """The session of this request as another request has it, loaded and saved by itself."""
    manager = get_manager(request.registry)
    with manager.session(request.cookies[manager.settings.cookie_name]) as other:
        yield other


def stored(app: App, **values: Any) -> str:
    """The token of a stored session with these values."""
    with app.manager.session() as session:
        session.update(values)
    return session.token


def row_of(app: App, token: str) -> StoredSession:
    """The row of a live session."""
    found: list[StoredSession]
    found = [row for row in app.rows() if row.digest == digest(app.manager.name, token)]
    assert len(found) == 1
    return found[0]


def contents_of(app: App, token: str) -> dict[str, Any] | None:
    """What another request finds; None if the token opens nothing."""
    session = app.manager.load(token)
    return None if session is None else session.copy()


def max_age_of(response: Any) -> int | None:
    """The Max-Age of the one cookie that a response sets; None if it goes with the browser."""
    (header,) = cookies_of(response)
    found = re.search(r"Max-Age=(\d+)", header)
    return None if found is None else int(found[1])


def left_of(app: App, response: Any) -> int:
    """How many seconds are left to the row that a response's cookie opens."""
    return (row_of(app, token_of(response)).deadline - app.manager.kind.clock()) // 1000


def in_minutes(app: App, minutes: int) -> datetime:
    """A moment to come, by the application's clock."""
    now = datetime.fromtimestamp(app.manager.kind.clock() / 1000).astimezone()
    return now + timedelta(minutes=minutes)
