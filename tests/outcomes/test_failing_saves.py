"""Where the database itself fails the session's save, within the request's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from harness.wire import Proxy
from myapp.database import create_database_engine
from myapp.sessions.core.token import digest
from myapp.sessions.sql.model import table
from myapp.sessions.sql.store import SqlStore
from tests.outcomes.app import Note, OutcomeApp


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[OutcomeApp]:
    made = OutcomeApp(database_url, f"sqlite:///{tmp_path / 'there.sqlite'}")
    yield made
    made.close()


@pytest.fixture(params=["postgresql", "mariadb"])
def proxied_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OutcomeApp]:
    server = request.getfixturevalue(request.param)
    with server.database() as url, Proxy(url) as proxy:
        made = OutcomeApp(proxy.url, f"sqlite:///{tmp_path / 'there.sqlite'}", proxy=proxy)
        yield made
        made.close()


@contextmanager
def holding(url: str, token: str) -> Iterator[Connection]:
    """Another connection, which holds the lock on a session's row."""
    engine = create_database_engine(url, statement_timeout=1000)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        row = select(table.c.digest).where(table.c.digest == digest("session", token))
        assert connection.execute(row.with_for_update()).first()
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.mark.parametrize("action", ["changed", "renewed", "signed_in"])
def test_a_session_that_another_connection_has_locked_holds_nobody_up(
    app: OutcomeApp, database_url: str, action: str
) -> None:
    """S6, L8: a bounded wait and a 503; while the lock is still held nothing of ours is."""
    token = app.start()
    with holding(database_url, token) as other:
        # SQLite's one lock would hold up the application's own write, not the session's save.
        dbsession = "read" if other.dialect.name == "sqlite" else "written"
        response, note = app.request(
            token, outcome="return_200", dbsession=dbsession, action=action
        )
        # Would wait for a transaction of ours that were still open, and fail.
        other.execute(insert(Note).values(id=note))
    assert_unavailable(response)
    assert is_untouched(app, token)
    assert not app.has_note(note, dbsession)
    response, note = app.request(token, outcome="return_200", dbsession="written", action=action)
    assert response is not None
    assert response.status_code == 200
    assert app.has_note(note, "written")


def test_a_locked_session_is_tried_again_where_that_may_help(
    app: OutcomeApp, database_url: str
) -> None:
    """S11: a lost race is marked retryable, and what is answered in the end is a 503 all the same.

    PostgreSQL says of a statement that took too long only that it did.
    """
    token = app.start()
    with holding(database_url, token) as other:
        response, _ = app.request(token, outcome="return_200", dbsession="read", action="changed")
        assert app.attempts == (1 if other.dialect.name == "postgresql" else 3)
    assert_unavailable(response)


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
@pytest.mark.parametrize(
    ("action", "verbs"),
    # PostgreSQL renews by one statement.
    [("changed", ["UPDATE"]), ("renewed", ["UPDATE", "WITH"]), ("renewed", ["INSERT", "WITH"])],
)
def test_a_connection_that_breaks_at_the_save_leaves_nothing_half_written(
    proxied_app: OutcomeApp, action: str, verbs: list[str], cut: str
) -> None:
    """S6: neither the application's row nor any part of the session's, and a 503."""
    app = proxied_app
    token = app.start()
    # The application's own statement comes first and must not be the one that is cut.
    verb = verbs[-1] if app.engine.dialect.name == "postgresql" else verbs[0]
    app.before_response = lambda: getattr(app.proxy, cut)(verb)
    response, note = app.request(token, outcome="return_200", dbsession="written", action=action)
    assert_unavailable(response)
    assert not app.has_note(note, "written")
    assert is_untouched(app, token)
    assert len(list(app.manager.store.iterate("session"))) == 1


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
def test_a_connection_that_breaks_at_what_is_asked_before_is_a_503_too(
    proxied_app: OutcomeApp, cut: str
) -> None:
    """S6: whether the session can be saved there, and how."""
    app = proxied_app
    token = app.start()
    verb = "SHOW"
    if app.engine.dialect.name == "postgresql":
        assert isinstance(app.manager.store, SqlStore)
        assert app.manager.store.table_oid  # asked once, on a connection of the store's own
        verb = "SELECT"
    app.before_response = lambda: getattr(app.proxy, cut)(verb)
    response, note = app.request(token, outcome="return_200", dbsession="written", action="changed")
    assert_unavailable(response)
    assert not app.has_note(note, "written")
    assert is_untouched(app, token)


def assert_unavailable(response: Any) -> None:
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert "Set-Cookie" not in response.headers


def is_untouched(app: OutcomeApp, token: str) -> bool:
    session = app.manager.load(token)
    return session is not None and session == {"before": 1} and session.user_id is None
