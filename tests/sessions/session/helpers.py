"""Sessions and rows for the tests of this folder."""

from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from pyramid.request import Request
from pyramid.response import Response

from myapp.sessions import (
    Session,
    SessionManager,
)
from myapp.sessions.core.manager import Tokens
from myapp.sessions.core.saved import settle
from myapp.sessions.core.saving import save
from myapp.sessions.core.state import State
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import digest
from myapp.sessions.web.headers import write_headers

HOUR = timedelta(hours=1)


def stored(manager: SessionManager, user: str | None = None, /, **values: Any) -> str:
    """Store a new session; its token."""
    with manager.session() as session:
        if user is not None:
            session.sign_in(user)
        session.update(values)
        session.get_csrf_token()
    return session.token


def loaded(manager: SessionManager, token: str) -> Session:
    """The live session of a token, open for changes, which nothing saves by itself."""
    session = Session(State(kind=manager.kind, source=Tokens(token)))
    assert not session.new
    return session


def close(session: Session) -> None:
    """Let the response be decided: from here on nothing is loaded or saved."""
    session._state.closed, session._state.source = True, None


def cookie_after_save(session: Session) -> str | None:
    """The cookie that goes out with a response once this session is saved."""
    saved = save(session._state)
    settle(session._state, saved)
    response = Response()
    request = Request.blank("/", base_url="https://example.com")
    write_headers(request, response, session._state, saved)
    cookie: str | None = response.headers.get("Set-Cookie")
    return cookie


def row_of(manager: SessionManager, token: str) -> StoredSession:
    """What the store has for a token: a session or a marker."""
    (row,) = manager.store.load([digest("session", token)])
    return row


def live_rows(manager: SessionManager) -> int:
    """How many sessions the store holds, markers aside."""
    return sum(1 for _ in manager.store.iterate("session"))


def break_row(manager: SessionManager, token: str) -> None:
    """Make a row unreadable."""
    row = row_of(manager, token)
    assert manager.store.update(replace(row, data=b"\xc1", version=row.version + 1), row.version)
