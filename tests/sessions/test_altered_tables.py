"""Tables are altered while servers run: what was prepared before is prepared again (L8, L12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.request import Request
from sqlalchemy import Engine, text

from harness.servers.postgresql import PostgreSQL
from myapp.database import create_database_engine
from myapp.models.retry import mark_retryable_errors
from myapp.sessions.core.store import StoredSession
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import NOW, a_session
from tests.outcomes.site import opened
from tests.sessions.app import create_table

WIDENED = "ALTER TABLE sessions ALTER COLUMN user_id TYPE varchar(900)"
OFTEN = 8
"""After so many runs a statement is prepared."""

Use = Callable[[SqlStore, StoredSession], Any]

READS: dict[str, Use] = {
    "load": lambda store, row: store.load([row.digest]),
    "load_some": lambda store, row: store.load([row.digest, bytes(32)]),
    "find": lambda store, row: [store.find("session", row.handle or "")],
    "of_user": lambda store, row: store.of_user("session", "ann", NOW),
    "iterate": lambda store, row: list(store.iterate("session")),
}


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.database() as url:
        create_table(url)
        yield url


@pytest.fixture
def owner(url: str) -> Iterator[Engine]:
    engine = create_database_engine(url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    store = SqlStore(url)
    yield store
    store.close()


def say(engine: Engine, statement: str) -> None:
    with engine.connect() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("name", READS)
def test_a_column_is_widened_and_nobody_notices(store: SqlStore, owner: Engine, name: str) -> None:
    """L8: `cached plan must not change result type` was a 503 until the restart."""
    row = a_session(user_id="ann")
    store.insert(row)
    for _ in range(OFTEN):
        assert READS[name](store, row) == [row]
    say(owner, WIDENED)
    assert READS[name](store, row) == [row]


def test_all_connections_hear_of_it(store: SqlStore, owner: Engine) -> None:
    """L8: of many that are open, the first one that fails is enough."""
    row = a_session(user_id="ann")
    store.insert(row)
    connections = [store._pool.take() for _ in range(5)]
    for connection in connections:
        for _ in range(OFTEN):
            connection.fetch_one(store._load_one, {"digest": row.digest})
    for connection in connections:
        store._pool.give_back(connection)
    say(owner, WIDENED)
    for _ in range(OFTEN):
        assert store.load([row.digest]) == [row]
    assert not any(connection in store._pool._idle for connection in connections)


@pytest.mark.parametrize(
    "meddling",
    [
        pytest.param("DEALLOCATE ALL", id="26000"),
        pytest.param("PREPARE _pg3_{n} AS SELECT 1", id="42P05"),
    ],
)
def test_a_prepared_statement_that_is_another_one_is_no_error(
    store: SqlStore, meddling: str
) -> None:
    """L12: whoever else has been on the connection, an unknown pooler for example."""
    row = a_session(user_id="ann")
    store.insert(row)
    if "DEALLOCATE" in meddling:
        for _ in range(OFTEN):
            store.load([row.digest])
    connection = store._pool.take()
    for number in range(20):
        # Past the driver, which would take note of it.
        connection.driver.pgconn.exec_(meddling.format(n=number).encode())
    store._pool.give_back(connection)
    for _ in range(OFTEN):
        assert store.load([row.digest]) == [row]
        store.lock(row.digest, "me", now=NOW, until=NOW + 1)


def test_the_applications_requests_are_tried_again(url: str, owner: Engine) -> None:
    """L8, S11: its engine gives up all connections of before, so one more attempt is enough."""
    say(owner, "CREATE TABLE words (word varchar(5))")
    say(owner, "INSERT INTO words VALUES ('one')")
    with opened(url, engine={"pool_size": 3}) as site:
        mark_retryable_errors(site.engine)
        found: list[list[str]] = []

        def view(request: Request) -> None:
            # A parameter, or it is not prepared.
            found.append(read(request.dbsession.connection()))

        connections = [site.engine.connect() for _ in range(3)]
        for connection in connections:
            for _ in range(OFTEN):
                read(connection)
            # A rollback would make the driver forget what it has prepared.
            connection.commit()
        for connection in connections:
            connection.close()
        say(owner, "ALTER TABLE words ALTER COLUMN word TYPE varchar(50)")
        answer = site.call(view)
        assert (answer.error, answer.attempts) == (None, 2)
        assert site.call(view).attempts == 1
        assert found == [["one"]] * 2


def read(connection: Any) -> list[str]:
    question = text("SELECT word FROM words WHERE word <> :word")
    return list(connection.execute(question, {"word": "two"}).scalars())


def test_a_session_is_saved_within_a_transaction_all_the_same(url: str, owner: Engine) -> None:
    """S6: what we ask on the application's connection does not make its transaction fail."""
    with opened(url, engine={"isolation_level": "REPEATABLE READ"}) as site:

        def view(request: Request) -> None:
            request.dbsession.execute(text("SELECT 1"))
            request.session.sign_out()

        for _ in range(OFTEN):
            assert site.call(view, site.start("ann")).error is None
        token = site.start("ann")
        say(owner, WIDENED)
        answer = site.call(view, token)
        assert (answer.error, answer.attempts) == (None, 1)
        assert site.stored(token) is None
