"""An interrupt between any two lines loses no place in the pool and begins no outage (L11)."""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, literal, select
from sqlalchemy.engine import RootTransaction
from sqlalchemy.exc import DBAPIError

from harness.waiting import wait_until
from harness.wire import Proxy
from myapp.database import create_database_engine
from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.sql.connection import Connection
from myapp.sessions.sql.joined import JoinedWriter
from myapp.sessions.sql.pool import MOST
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session
from tests.sessions.app import create_table
from tests.sessions.interrupting import FOLDER, interrupted_everywhere

pytestmark = [
    pytest.mark.usefixtures("cheap_collections"),
    # Drivers warn when they close a connection that an interrupt has left before it was ours.
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored .* <function BaseConnection.__del__"
        ":pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    create_table(database_url)
    made = SqlStore(database_url, connect_timeout=2000, statement_timeout=2000)
    yield made
    made.close()


@pytest.fixture
def row(store: SqlStore) -> StoredSession:
    made = a_session()
    store.insert(made)
    return made


def assert_unharmed(store: SqlStore, row: StoredSession, place: str, held: int = 0) -> None:
    """Every place but those is free, the breaker lets everybody in, and nothing is locked."""
    gc.collect()
    pool = store._pool
    assert len(pool._places) == len(pool._idle) + held, place
    assert not store.is_stuck, place
    assert not pool.breaker._pauses, place
    assert [each.digest for each in store.load([row.digest])] == [row.digest], place
    assert store.update(replace(row, version=row.version + 1), row.version), place
    assert store.update(row, row.version + 1), place


def assert_all_can_be_opened(store: SqlStore) -> None:
    pool = store._pool
    connections = [pool.take() for _ in range(MOST)]
    for connection in connections:
        pool.give_back(connection)


def load(store: SqlStore, row: StoredSession) -> None:
    """A statement on a connection that is there."""
    store.load([row.digest])


def load_anew(store: SqlStore, row: StoredSession) -> None:
    """A statement on a connection that has to be made, in place of an old one."""
    store.close()
    store.load([row.digest])


def update(store: SqlStore, row: StoredSession) -> None:
    """A write in a statement."""
    store.update(replace(row, version=row.version + 1), row.version)
    store.update(row, row.version + 1)


def transact(store: SqlStore, row: StoredSession) -> None:
    """A write in a transaction."""
    ending = Ending(b"?" * 32, "revoked")
    store.update(replace(row, version=row.version + 1), row.version, [ending])
    store.update(row, row.version + 1)


def fail(store: SqlStore, row: StoredSession) -> None:
    """A statement with an error of the database's, and an answer that is never fetched."""
    pool = store._pool
    connection = pool.take()
    with suppress(Exception):
        connection.cursor.execute("SELECT nonsense FROM nowhere")
    pool.give_back(connection)
    pool.lost(pool.take())


def restore(store: SqlStore, row: StoredSession) -> None:
    """Bring the row back to what it was, whatever an interrupted write has made of it."""
    present = store.load([row.digest])[0]
    if present.version != row.version:
        assert store.update(row, present.version)


@pytest.mark.parametrize("task", [load, load_anew, update, transact, fail])
def test_an_interrupt_anywhere_harms_nobody_else(
    store: SqlStore,
    database_url: str,
    row: StoredSession,
    task: Callable[[SqlStore, StoredSession], None],
) -> None:
    """L11: no place is lost, no outage begins, and what the next request writes is committed."""
    witness = SqlStore(database_url)

    def check(place: str) -> None:
        restore(store, row)
        store.update(replace(row, version=row.version + 1), row.version)
        # By a transaction that was left open it would be seen on that connection alone.
        assert [each.version for each in witness.load([row.digest])] == [row.version + 1], place
        restore(store, row)
        assert_unharmed(store, row, place)

    lines = interrupted_everywhere(lambda: task(store, row), check)
    witness.close()
    assert lines > 10
    assert_all_can_be_opened(store)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nor_does_one_of_somebody_who_waits_or_serves(store: SqlStore, row: StoredSession) -> None:
    """L11: whoever waits is served all the same, by an interrupted thread or a later one."""
    pool = store._pool
    # So that few places are taken and given back again and again.
    held = [pool.take() for _ in range(MOST - 2)]

    def wait_and_serve() -> None:
        taken = [pool.take() for _ in range(MOST - len(held))]
        served: list[Connection] = []
        # Gives one back to us while we wait.
        helper = threading.Thread(target=give_one_back, args=(taken,))
        helper.start()
        try:
            served.append(pool.take())
        finally:
            helper.join()
        # And now the other way round.
        waiter = threading.Thread(target=lambda: pool.give_back(pool.take()))
        waiter.start()
        wait_until(lambda: bool(pool._waiting) or not waiter.is_alive(), "somebody who waits")
        try:
            for connection in (*served, *taken):
                pool.give_back(connection)
        finally:
            del connection
            served.clear()
            taken.clear()
            waiter.join()

    def give_one_back(taken: list[Connection]) -> None:
        # Unless it was interrupted before it came to wait.
        with suppress(TimeoutError):
            wait_until(lambda: bool(pool._waiting), "somebody who waits", seconds=0.05)
        pool.give_back(taken.pop())

    def check(place: str) -> None:
        assert_unharmed(store, row, place, held=len(held))

    interrupted_everywhere(wait_and_serve, check)
    for connection in held:
        pool.give_back(connection)
    assert_all_can_be_opened(store)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_one_that_tries_after_an_outage_leaves_it_to_the_next(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """L8, L11: the interrupted probe keeps nobody out for ever."""
    with request.getfixturevalue(kind).database() as url:
        create_table(url)
        with Proxy(url) as proxy:
            store = SqlStore(proxy.url, connect_timeout=2000, statement_timeout=2000)
            row = a_session()
            store.insert(row)

            def take_down() -> None:
                proxy.refuse()
                proxy.drop()
                with pytest.raises(StoreUnavailable):
                    store.load([row.digest])
                proxy.restore()
                for pause in store._pool.breaker._pauses.values():
                    pause.until = 0

            def check(place: str) -> None:
                for pause in store._pool.breaker._pauses.values():
                    pause.until = 0
                assert store.load([row.digest]) == [row], place
                assert_unharmed(store, row, place)
                take_down()

            take_down()
            interrupted_everywhere(lambda: store.load([row.digest]), check)
            store.close()


# Nor has PyMySQL thought of an interrupt before a result is complete, or where its connection is
# closed by the garbage collector.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored .* <function (MySQLResult.__del__|Connection._force_close)"
    ":pytest.PytestUnraisableExceptionWarning"
)
def test_an_interrupt_leaves_no_answer_on_the_applications_connection(
    store: SqlStore, database_url: str
) -> None:
    """L11, S6: before any line of ours or the driver's, where a session is written on it: whoever
    has it next would take that for the answer to their own question.
    """
    engine = create_database_engine(database_url, pool_size=1, max_overflow=0)
    driver = str(Path(engine.dialect.loaded_dbapi.__file__ or "").parent)
    transaction, row = begun(engine), a_session()

    def write() -> None:
        JoinedWriter(lambda: transaction.connection, lambda: None, store).insert(row)

    def check(place: str) -> None:
        nonlocal transaction
        with suppress(DBAPIError):
            transaction.connection.close()
        for number in range(3):
            with engine.connect() as another:
                assert another.scalar(select(literal(number))) == number, place
        assert store.load([row.digest]) == [], place
        transaction = begun(engine)

    assert interrupted_everywhere(write, check, (FOLDER, driver)) > 10
    check("in the end")
    transaction.connection.close()
    engine.dispose()


def begun(engine: Engine) -> RootTransaction:
    """A transaction of the application's on a connection of its pool."""
    return engine.connect().begin()
