"""PostgreSQL behind PgBouncer, where a connection is whichever backend is free (L12)."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from harness.servers.pgbouncer import PREPARES, Mode, PgBouncer, version
from harness.servers.postgresql import PostgreSQL
from harness.waiting import wait_until
from myapp import migrations
from myapp.database import create_database_engine
from myapp.database_url import parse_url
from myapp.sessions.core.errors import SchemaError, StoreUnavailable
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.core.store import SessionStore, StoredSession
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import NOW, StoreContract, a_session, at_once, marking
from myapp.setting_table import Expected
from tests.sessions.app import create_table

THREADS = 8
OPERATIONS = 125
"""Of each thread."""


@pytest.fixture
def direct(postgresql: PostgreSQL) -> Iterator[str]:
    """A database with the sessions table, not by way of a pooler."""
    with postgresql.database() as url:
        create_table(url)
        yield url


@pytest.fixture
def pooled(direct: str, pgbouncer: PgBouncer) -> str:
    """The same database by way of PgBouncer in transaction mode."""
    return by_way_of(pgbouncer, direct)


def by_way_of(pooler: PgBouncer, url: str) -> str:
    database = make_url(url).database
    assert database is not None
    return pooler.url(database)


def threshold(store: SqlStore) -> int | None:
    """After how many runs a statement is prepared on a connection of a store; None is never."""
    connection = store._pool.take()
    store._pool.give_back(connection)
    found: int | None = connection.driver.prepare_threshold
    return found


def limit(store: SqlStore) -> str:
    """How long PostgreSQL lets a statement run on a connection of a store."""
    connection = store._pool.take()
    connection.cursor.execute("SHOW statement_timeout")
    ((found,),) = connection.cursor.fetchall()
    store._pool.give_back(connection)
    return str(found)


class TestBehindPgBouncer(StoreContract):
    """I10, L12: all that a store promises; PgBouncer refuses `options`, and has two backends."""

    @pytest.fixture
    def store(self, pooled: str) -> Iterator[SessionStore]:
        with closing(SqlStore(pooled)) as store:
            yield store


# Answers are for whoever asked.


def use(store: SqlStore, failures: list[str]) -> None:
    """Mixed operations on a session of one's own, each with the answer that it must have."""
    dice = random.Random(threading.get_ident())
    mine = a_session(user_id=f"user-{threading.get_ident()}")
    store.insert(mine)
    for _ in range(OPERATIONS - 1):
        name = dice.choice([*OPERATION])
        try:
            mine = OPERATION[name](store, mine)
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")


def loaded(store: SqlStore, mine: StoredSession) -> StoredSession:
    assert store.load([mine.digest]) == [mine]
    return mine


def loaded_among_others(store: SqlStore, mine: StoredSession) -> StoredSession:
    assert store.load([mine.digest, bytes(32)]) == [mine]
    return mine


def found(store: SqlStore, mine: StoredSession) -> StoredSession:
    assert mine.handle is not None
    assert store.find("session", mine.handle) == mine
    assert mine.user_id is not None
    assert store.of_user("session", mine.user_id, NOW) == [mine]
    return mine


def updated(store: SqlStore, mine: StoredSession) -> StoredSession:
    changed = replace(mine, version=mine.version + 1, data=mine.data + b"x")
    assert store.update(changed, mine.version) is True
    assert store.update(changed, mine.version) is False
    return changed


def touched(store: SqlStore, mine: StoredSession) -> StoredSession:
    later = replace(mine, seen_at=mine.seen_at + 1)
    seen = {"seen_at": later.seen_at, "expires_at": later.expires_at}
    assert store.touch(mine.digest, **seen, not_since=mine.seen_at) is True
    return later


def renewed(store: SqlStore, mine: StoredSession) -> StoredSession:
    new = replace(mine, digest=a_session().digest, version=1)
    assert store.renew(marking(mine, "renewed"), mine.version, new) is True
    return new


def ended_another(store: SqlStore, mine: StoredSession) -> StoredSession:
    other = a_session()
    changed = replace(mine, version=mine.version + 1)
    assert store.insert(other) is True
    assert store.update(changed, mine.version, [marking(other, "merged")]) is True
    return changed


def swept(store: SqlStore, mine: StoredSession) -> StoredSession:
    store.insert(a_session(expires_at=NOW - 1))
    assert store.sweep(NOW, 10) <= 10
    return mine


OPERATION = {
    each.__name__: each
    for each in (
        loaded,
        loaded_among_others,
        found,
        updated,
        touched,
        renewed,
        ended_another,
        swept,
    )
}


@pytest.mark.parametrize("ignored", ["extra_float_digits", "options"])
@pytest.mark.parametrize("pooler", ["auto", "transaction"])
def test_a_thousand_operations_of_two_processes_go_right(
    postgresql: PostgreSQL, direct: str, ignored: str, pooler: str
) -> None:
    """L12: no statement is another client's, whether `options` are refused or passed over."""
    with PgBouncer(postgresql, ignored=ignored) as bouncer:
        go_right(by_way_of(bouncer, direct), pooler)


def go_right(url: str, pooler: str) -> None:
    """Two stores with many threads each lose nothing, and take nothing for their own."""
    failures: list[str] = []
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(SqlStore(url, pooler=pooler))) for _ in range(2)]
        at_once(*[partial(use, stores[n % 2], failures) for n in range(THREADS)])
        assert failures == []
        # Each thread's session is there, and nothing of it was lost.
        assert len(list(stores[0].iterate("session"))) == THREADS


@pytest.fixture
def preparing(postgresql: PostgreSQL) -> Iterator[PgBouncer]:
    """A PgBouncer that manages prepared statements itself."""
    if (found := version()) < PREPARES:
        pytest.skip(f"PgBouncer {found} is older than {PREPARES}")
    with PgBouncer(postgresql, prepared=100) as bouncer:
        yield bouncer


def test_a_pooler_may_manage_prepared_statements(direct: str, preparing: PgBouncer) -> None:
    """L12: if the URL says so; the table may be altered while the stores are in use."""
    url = f"{by_way_of(preparing, direct)}?prepare_threshold=1"
    go_right(url, "auto")
    with closing(SqlStore(url)) as store:
        assert threshold(store) == 1
        store.insert(row := a_session())
        for _ in range(4):
            assert store.load([row.digest]) == [row]
        owner = create_database_engine(direct)
        with owner.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE sessions ADD COLUMN remark TEXT")
            connection.exec_driver_sql(
                "ALTER TABLE sessions ALTER COLUMN user_id TYPE varchar(300)"
            )
        owner.dispose()
        for _ in range(4):
            assert store.load([row.digest]) == [row]


def test_the_applications_engine_goes_by_the_same_rule(pooled: str) -> None:
    """L12: by itself, without a limit for statements; so several share a backend."""
    engines = [create_database_engine(pooled) for _ in range(2)]
    for engine in engines:
        with engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            assert driver.prepare_threshold is None
            for _ in range(10):
                connection.execute(text("SELECT :n"), {"n": 1})
        engine.dispose()


# Who stands before PostgreSQL is found out.


def test_without_a_pooler_statements_are_prepared_and_limited(direct: str) -> None:
    """L12: what auto finds; `none` does not even ask."""
    for pooler in ("auto", "none"):
        with closing(SqlStore(direct, pooler=pooler)) as store:
            assert threshold(store) == 5
            assert limit(store) == "5s"


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("ignored", ["extra_float_digits", "options"])
def test_a_pooler_is_recognised(
    postgresql: PostgreSQL, direct: str, mode: Mode, ignored: str
) -> None:
    """L12: by the process that answers, which is not the one that the connection names. In
    session mode it is harmless to prepare nothing.
    """
    with PgBouncer(postgresql, mode=mode, ignored=ignored) as bouncer:
        url = by_way_of(bouncer, direct)
        with closing(SqlStore(url)) as store:
            assert threshold(store) is None
            assert store.insert(a_session())


def test_what_is_no_pooler_is_not_believed_to_be_one_for_another_reason(
    postgresql: PostgreSQL,
) -> None:
    """L12: another refusal is one; it is not tried without `options`."""
    with (
        closing(SqlStore(postgresql.url("nowhere"))) as store,
        pytest.raises(StoreUnavailable, match="does not exist"),
    ):
        store.count()


def test_pooler_none_keeps_to_the_options(pooled: str) -> None:
    """L12: whoever says that there is none gets what PgBouncer says to that."""
    with (
        closing(SqlStore(pooled, pooler="none")) as store,
        pytest.raises(StoreUnavailable, match="options"),
    ):
        store.count()


def test_the_url_has_the_last_word_on_preparing(direct: str, pooled: str) -> None:
    """L12: PgBouncer from 1.21 on can be told to look after prepared statements."""
    for url, given, expected in ((direct, "none", None), (direct, "1", 1), (pooled, "7", 7)):
        with closing(SqlStore(f"{url}?prepare_threshold={given}")) as store:
            assert threshold(store) == expected


@pytest.mark.parametrize("given", ["some", "-1", "1.5", "\u0661", "9999999"])
def test_a_threshold_that_is_none_is_refused(given: str) -> None:
    """C2: at the start, not at the first statement."""
    with pytest.raises(Expected, match="prepare_threshold"):
        parse_url(f"postgresql://h/d?prepare_threshold={given}")


def test_the_setting_reaches_the_store(pooled: str) -> None:
    """L12, C: session.pooler, in any case of letters."""
    given = {"session.url": pooled, "session.pooler": "NONE"}
    with (
        closing(SqlStore.from_settings(read_session_settings(given, {}))) as store,
        pytest.raises(StoreUnavailable, match="options"),
    ):
        store.count()
    settings = read_session_settings(given, {"SESSION_POOLER": "transaction"})
    with closing(SqlStore.from_settings(settings)) as store:
        assert store.count() == 0


# What the server does not limit, the client does.


def test_a_statement_of_which_nobody_expects_an_answer_is_not_done_later(
    direct: str, pooled: str
) -> None:
    """L12: who gives up says so; else a save that waits for a lock is made minutes later."""
    row = a_session()
    owner = create_engine(direct, poolclass=NullPool)
    with (
        closing(SqlStore(pooled, statement_timeout=1000)) as store,
        closing(SqlStore(direct)) as patient,
        owner.connect() as other,
    ):
        patient.insert(row)
        with other.begin():
            other.execute(text("SELECT 1 FROM sessions FOR UPDATE"))
            with pytest.raises(StoreUnavailable):
                store.update(replace(row, version=2), 1)
            wait_until(lambda: waiting(owner) == 0, "the end of the statement")
        assert patient.load([row.digest]) == [row]


def waiting(owner: Engine) -> int:
    """How many statements wait for a lock in the database."""
    question = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with owner.connect() as connection:
        return int(connection.execute(text(question)).scalar_one())


def test_a_missing_limit_is_said_at_the_start(
    direct: str, pooled: str, caplog: pytest.LogCaptureFixture
) -> None:
    """L12: behind a pooler it is the role's."""
    name = make_url(direct).database
    for url, words in ((direct, 0), (pooled, 1)):
        caplog.clear()
        with closing(SqlStore(url)) as store:
            store.check()
        assert caplog.text.count("ALTER ROLE") == words
    owner = create_engine(direct, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with owner.connect() as connection:
        # Of the database, since the role is everybody's here.
        connection.execute(text(f'ALTER DATABASE "{name}" SET statement_timeout = 4321'))
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )
    caplog.clear()
    with closing(SqlStore(pooled)) as store:
        wait_until(lambda: checks(store), "PgBouncer's new backends")
        assert limit(store) == "4321ms"
    assert "ALTER ROLE" not in caplog.text


def checks(store: SqlStore) -> bool:
    try:
        store.check()
    except StoreUnavailable:
        return False
    return True


# The modes, and what needs a session of the database.


def test_statement_mode_is_refused_at_the_start(postgresql: PostgreSQL, direct: str) -> None:
    """L12: no two statements can be one there; it is said in one line."""
    with (
        PgBouncer(postgresql, mode="statement") as bouncer,
        closing(SqlStore(by_way_of(bouncer, direct))) as store,
        pytest.raises(SchemaError, match=r"statement mode.*pool_mode"),
    ):
        store.check()


def test_processes_migrate_by_way_of_a_pooler_one_at_a_time(postgresql: PostgreSQL) -> None:
    """L12: no lock stays with a backend that others get, and nobody waits for one in vain."""
    question = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    with PgBouncer(postgresql) as bouncer, bouncer.database() as url:
        results = at_once(*[partial(migrations.upgrade, url)] * 4)
        assert results == [None] * 4
        owner = create_engine(postgresql.url(make_url(url).database or ""), poolclass=NullPool)
        with owner.connect() as connection:
            assert connection.execute(text(question)).scalar_one() == 0
            assert connection.execute(text("SELECT count(*) FROM sessions")).scalar_one() == 0


def test_a_migration_may_leave_its_transaction(direct: str, pooled: str) -> None:
    """L12, G3: as CREATE INDEX CONCURRENTLY has to, which waits for others."""
    for number, url in enumerate((direct, pooled)):
        engine = create_database_engine(url, poolclass=NullPool)
        statement = f"CREATE INDEX CONCURRENTLY later_{number} ON sessions (created_at)"
        with engine.connect() as connection, migrations._only_one(connection):
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text(statement))


def test_a_pooler_that_dies_is_an_outage_like_any_other(
    postgresql: PostgreSQL, direct: str
) -> None:
    """L8, L12: 503 until it is back, and no restart of ours is needed."""
    row = a_session()
    with PgBouncer(postgresql) as bouncer, closing(SqlStore(by_way_of(bouncer, direct))) as store:
        store.insert(row)
        bouncer.kill()
        with pytest.raises(StoreUnavailable):
            store.load([row.digest])
        bouncer.start()
        wait_until(lambda: answers(store, row), "the end of the outage")
        assert threshold(store) is None


def answers(store: SqlStore, row: StoredSession) -> bool:
    try:
        return store.load([row.digest]) == [row]
    except StoreUnavailable:
        return False
