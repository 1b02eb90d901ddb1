"""Connections are given out in the order in which they were asked for, and none is lost (L11)."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor as Threads
from contextlib import suppress

import pytest
from sqlalchemy import make_url, text

from harness.servers.mariadb import MariaDB
from harness.servers.postgresql import PostgreSQL
from harness.waiting import wait_until
from myapp.database import create_database_engine
from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.sql.connection import Connection
from myapp.sessions.sql.pool import MOST, Pool
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session
from tests.sessions.app import create_table

PATIENCE = 60_000
"""Milliseconds: longer than any test, however busy the machine."""
GRANTED = 4
"""Connections that the server grants to a user."""


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    made = SqlStore(sqlite_url, connect_timeout=PATIENCE)
    yield made
    made.close()


@pytest.fixture
def threads() -> Iterator[Threads]:
    with Threads(30) as pool:
        yield pool


def queue_up(pool: Pool, threads: Threads, count: int) -> list[Future[Connection]]:
    """So many threads that ask for a connection, one after the other, and have to wait."""
    asked = []
    for _ in range(count):
        asked.append(threads.submit(pool.take))
        wait_until(lambda: len(pool._waiting) == len(asked), "a thread that waits")
    return asked


def take(pool: Pool, count: int) -> list[Connection]:
    return [pool.take() for _ in range(count)]


def test_a_connect_that_takes_long_is_no_outage_while_statements_are_answered(
    store: SqlStore,
) -> None:
    """L8, L11: on a busy machine the first connections may be long in coming."""
    create_table(store.engine.url.render_as_string(hide_password=False))
    store.count()
    breaker = store._pool.breaker
    attempt = breaker.admit()
    attempt.since -= 10
    breaker.answered -= 10
    assert store.is_stuck
    store.count()
    assert not store.is_stuck


def test_a_statement_that_took_long_hides_no_later_answer(store: SqlStore) -> None:
    """L8: it tells of the moment at which it was sent."""
    create_table(store.engine.url.render_as_string(hide_password=False))
    store.count()
    breaker = store._pool.breaker
    breaker.answered += 100
    answered = breaker.answered
    store.count()
    assert breaker.answered == answered


def test_whoever_asked_first_is_served_first(store: SqlStore, threads: Threads) -> None:
    """L11: and nobody who comes later overtakes, not even to use a connection just given back."""
    pool = store._pool
    taken = take(pool, MOST)
    asked = queue_up(pool, threads, 5)
    for served, first in enumerate(asked, 1):
        connection = taken.pop()
        pool.give_back(connection)
        assert first.result(timeout=30) is connection
        assert not any(each.done() for each in asked[served:])
    for connection in (*taken, *(each.result() for each in asked)):
        pool.give_back(connection)


def test_nobody_takes_at_once_what_another_one_waits_for(store: SqlStore, threads: Threads) -> None:
    """L11: a connection that is given back is not free while somebody waits."""
    pool = store._pool
    taken, order = take(pool, MOST), []

    def wait() -> None:
        connection = pool.take()
        order.append("waited")
        pool.give_back(connection)

    waiting = threads.submit(wait)
    wait_until(lambda: bool(pool._waiting), "a thread that waits")
    pool.give_back(taken.pop())
    taken.append(pool.take())
    order.append("came later")
    waiting.result(timeout=30)
    assert order == ["waited", "came later"]
    for connection in taken:
        pool.give_back(connection)


def test_a_place_that_was_left_goes_to_the_first_who_waits(
    store: SqlStore, threads: Threads
) -> None:
    """L11: when a connection is closed, whoever waits opens another one."""
    pool = store._pool
    taken = take(pool, MOST)
    first, second = queue_up(pool, threads, 2)
    pool.close(taken.pop())
    pool.give_back(first.result(timeout=30))
    pool.give_back(second.result(timeout=30))
    for connection in taken:
        pool.give_back(connection)


def test_there_are_never_more_connections_than_places(store: SqlStore, threads: Threads) -> None:
    """L9: however many threads come at once."""
    pool, most = store._pool, []
    barrier = threading.Barrier(30)

    def use() -> None:
        barrier.wait(timeout=60)
        for _ in range(100):
            connection = pool.take()
            most.append(pool._places.count_open())
            pool.close(connection)

    for each in [threads.submit(use) for _ in range(30)]:
        each.result(timeout=200)
    assert max(most) <= MOST
    assert not pool._places


def test_who_has_waited_in_vain_is_told_so_and_leaves_the_queue(
    sqlite_url: str, threads: Threads
) -> None:
    """L8: nothing is wrong with the database: those who come later are served as ever."""
    store = SqlStore(sqlite_url, connect_timeout=1)
    pool = store._pool
    taken = take(pool, MOST)
    with pytest.raises(StoreUnavailable, match="all connections are in use"):
        pool.take()
    assert not pool._waiting
    pool.close(taken.pop())
    pool.give_back(pool.take())
    for connection in taken:
        pool.give_back(connection)
    store.close()


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_more_threads_than_connections_are_no_outage(database_url: str, threads: Threads) -> None:
    """L11: waiting for a connection that others use says nothing about the database."""
    create_table(database_url)
    store = SqlStore(database_url, connect_timeout=PATIENCE)
    seconds = 0.03
    name = "pg_sleep" if database_url.startswith("postgresql") else "SLEEP"
    slow = text(f"SELECT {name}({seconds})")

    def work() -> None:
        for _ in range(25):
            store._executor.run(Connection.fetch_all, slow, {})

    for each in [threads.submit(work) for _ in range(25)]:
        each.result(timeout=200)
    store.close()


@pytest.fixture(params=["postgresql", "mariadb"])
def limited_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database whose user may have a few connections."""
    server: PostgreSQL | MariaDB = request.getfixturevalue(request.param)
    with server.database() as url:
        create_table(url)
        owner = create_database_engine(url, isolation_level="AUTOCOMMIT")
        with owner.connect() as connection:
            for statement in LIMIT[request.param]:
                connection.exec_driver_sql(statement)
        yield make_url(url).set(username="limited").render_as_string(hide_password=False)
        if request.param == "postgresql":
            with owner.connect() as connection:
                connection.exec_driver_sql("DROP OWNED BY limited")
                connection.exec_driver_sql("DROP ROLE limited")
        owner.dispose()


LIMIT = {
    "postgresql": (
        f"CREATE ROLE limited LOGIN CONNECTION LIMIT {GRANTED}",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO limited",
    ),
    "mariadb": (
        "CREATE OR REPLACE USER limited@'%%'",
        f"GRANT ALL ON *.* TO limited@'%%' WITH MAX_USER_CONNECTIONS {GRANTED}",
    ),
}


def test_where_the_server_grants_no_more_the_others_wait_for_those_there_are(
    limited_url: str, threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    """L11: in their order; the limit of a server or a user is no outage."""
    store = SqlStore(limited_url, connect_timeout=PATIENCE)
    pool = store._pool
    taken = take(pool, GRANTED)
    asked = [threads.submit(pool.take) for _ in range(4)]
    wait_until(lambda: len(pool._waiting) == 4, "threads that wait")
    for connection in taken:
        pool.give_back(connection)
    for each in asked:
        pool.give_back(each.result(timeout=30))
    row = a_session()
    store.insert(row)

    def work() -> list[object]:
        return [store.load([row.digest]) for _ in range(50)]

    for done in [threads.submit(work) for _ in range(8)]:
        assert done.result(timeout=100) == [[row]] * 50
    assert pool._places.count_open() <= GRANTED
    assert not caplog.text
    store.close()


def test_where_others_have_all_connections_it_is_an_outage(limited_url: str) -> None:
    """L8: there is none to wait for."""
    other, store = SqlStore(limited_url), SqlStore(limited_url, connect_timeout=PATIENCE)
    taken = take(other._pool, GRANTED)
    with pytest.raises(StoreUnavailable, match=r"too many|limited"):
        store.load([b"x" * 32])
    for connection in taken:
        other._pool.close(connection)

    def answers() -> bool:
        with suppress(StoreUnavailable):
            return list(store.load([b"x" * 32])) == []
        return False

    wait_until(answers, "a connection")
    store.close()
