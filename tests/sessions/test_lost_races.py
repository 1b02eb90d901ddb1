"""What loses a race against another transaction is tried again by the store itself (S11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError

from harness.waiting import wait_until
from myapp.database import create_database_engine, is_lost_race
from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.core.store import StoredSession
from myapp.sessions.sql.executor import RACES
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import NOW, a_session, at_once, marking
from tests.sessions.app import create_table

Write = Callable[[SqlStore, StoredSession], Any]

# What is done to a session that is there, and what each answers when it is done.
WRITES: dict[str, tuple[Write, Any]] = {
    "update": (lambda store, row: store.update(replace(row, version=2), 1), True),
    "renew": (lambda store, row: store.renew(marking(row), 1, a_session()), True),
    "merge": (
        lambda store, row: store.insert(a_session(), [replace(marking(row), version=1)]),
        True,
    ),
    "end": (lambda store, row: store.end([marking(row)]), 1),
    "touch": (
        lambda store, row: store.touch(
            row.digest, seen_at=NOW + 9, expires_at=NOW + 99, not_since=NOW
        ),
        True,
    ),
    "lock": (lambda store, row: store.lock(row.digest, "me", now=NOW, until=NOW + 9), True),
}


@pytest.fixture
def owner(database_url: str) -> Iterator[Engine]:
    """The database with its table, for whoever gets in the way; in autocommit."""
    create_table(database_url)
    engine = create_database_engine(database_url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def store(owner: Engine, database_url: str) -> Iterator[SqlStore]:
    store = SqlStore(database_url)
    yield store
    store.close()


def run(engine: Engine, *texts: str) -> Any:
    """Say something to the database; the first value of the last answer, if there is one."""
    with engine.connect() as connection:
        for text in texts:
            result = connection.exec_driver_sql(text)
        return result.scalar() if result.returns_rows else None


POSTGRESQL_TRIGGER = """
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tries') <= {races} THEN RAISE EXCEPTION 'lost' USING ERRCODE = '{code}'; END IF;
    RETURN NEW;
END $$"""
MARIADB_TRIGGER = """
CREATE TRIGGER lose BEFORE UPDATE ON sessions FOR EACH ROW BEGIN
    UPDATE tries SET last_try = last_try + 1;
    IF (SELECT last_try FROM tries) <= {races} THEN
        SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'lost';
    END IF;
END"""


def let_it_lose(owner: Engine, code: str, races: int) -> None:
    """The next updates of sessions fail with an error; those that failed are counted, too."""
    if owner.dialect.name == "postgresql":
        run(
            owner,
            # What a sequence has counted is not rolled back,
            "CREATE SEQUENCE tries",
            POSTGRESQL_TRIGGER.format(code=code, races=races),
            "CREATE TRIGGER lose BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION lose()",
        )
    else:
        run(
            owner,
            # nor what is written to a table without transactions.
            "CREATE TABLE tries ENGINE=MyISAM AS SELECT 0 AS last_try",
            MARIADB_TRIGGER.format(code=code, races=races),
        )


def tries(owner: Engine) -> int:
    column = "last_value" if owner.dialect.name == "postgresql" else "last_try"
    return int(run(owner, f"SELECT {column} FROM tries"))


CODES = [
    pytest.param(kind, code, id=f"{kind}-{code}")
    for kind, code in (
        ("postgresql", "40001"),
        ("postgresql", "40P01"),
        ("mariadb", "1213"),
        ("mariadb", "1020"),
    )
]
each_code = pytest.mark.parametrize(("database_url", "code"), CODES, indirect=["database_url"])


@pytest.mark.parametrize("what", WRITES)
@each_code
def test_a_lost_race_is_run_again(store: SqlStore, owner: Engine, code: str, what: str) -> None:
    """S11: nobody is told of a conflict that the next try resolves."""
    row = a_session()
    store.insert(row)
    let_it_lose(owner, code, races=3)
    write, answer = WRITES[what]
    assert write(store, row) == answer
    assert tries(owner) >= 4


@each_code
def test_races_are_not_run_for_ever(store: SqlStore, owner: Engine, code: str) -> None:
    """S11: after some it is a StoreUnavailable, with nothing changed."""
    row = a_session()
    store.insert(row)
    let_it_lose(owner, code, races=1000)
    with pytest.raises(StoreUnavailable, match="lost"):
        store.renew(marking(row), 1, a_session())
    assert tries(owner) == RACES
    assert store.load([row.digest]) == [row]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_races_are_not_run_beyond_the_time_for_a_statement(
    owner: Engine, database_url: str
) -> None:
    """L8: whoever waits for the session does not wait longer than for any other statement."""
    store = SqlStore(database_url, statement_timeout=50)
    row = a_session()
    store.insert(row)
    let_it_lose(owner, "40001", races=1000)
    with pytest.raises(StoreUnavailable):
        store.end([marking(row)])
    assert tries(owner) < RACES
    store.close()


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_a_lock_waited_for_in_vain_is_not_waited_for_again(store: SqlStore, owner: Engine) -> None:
    """L8: that took all the time that a statement may take."""
    row = a_session()
    store.insert(row)
    let_it_lose(owner, "1205", races=1)
    with pytest.raises(StoreUnavailable):
        store.end([marking(row)])
    assert tries(owner) == 1
    assert store.end([marking(row)]) == 1


@pytest.mark.parametrize("what", WRITES)
@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_stricter_isolation_is_no_trouble(
    owner: Engine, database_url: str, level: str, what: str
) -> None:
    """S11: PostgreSQL then refuses an UPDATE that waited for another transaction."""
    name = make_url(database_url).database
    run(owner, f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = '{level}'")
    store = SqlStore(database_url)
    row = a_session()
    store.insert(row)
    write, answer = WRITES[what]
    with ThreadPoolExecutor(1) as pool, owner.connect() as other:
        other.exec_driver_sql("BEGIN")
        other.exec_driver_sql("UPDATE sessions SET lock_owner = NULL")
        late = pool.submit(write, store, row)
        wait_until(lambda: run(owner, WAITING_POSTGRESQL) == 1, "the write waits")
        other.exec_driver_sql("COMMIT")
        assert late.result(timeout=20) == answer
    store.close()


WAITING_POSTGRESQL = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""
WAITING_MARIADB = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_a_deadlock_is_no_trouble(store: SqlStore, owner: Engine) -> None:
    """S11: of two transactions that wait for each other MariaDB breaks off the lighter one."""
    first, second, *more = (a_session(digest=bytes([number]) * 32) for number in range(20))
    for row in (first, second, *more):
        store.insert(row)
    with ThreadPoolExecutor(1) as pool, owner.connect() as other:
        deadlocks = _deadlocks(other)
        other.exec_driver_sql("BEGIN")
        # Much work, so that it is not this one that is broken off.
        _lock(other, "digest >= %s", second.digest)
        late = pool.submit(store.end, [marking(first), marking(second)])
        # InnoDB looks anew only where nobody has asked for a tenth of a second.
        wait_until(lambda: run(owner, WAITING_MARIADB) == 1, "the store waits", pause=0.2)
        _lock(other, "digest = %s", first.digest)
        other.exec_driver_sql("COMMIT")
        assert late.result(timeout=20) == 2
        assert _deadlocks(other) == deadlocks + 1


def _lock(connection: Connection, which: str, digest: bytes) -> None:
    connection.exec_driver_sql(f"UPDATE sessions SET address = 'x' WHERE {which}", (digest,))


def _deadlocks(connection: Connection) -> int:
    metrics = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
    return int(connection.exec_driver_sql(metrics).scalar_one())


def test_a_user_who_signs_in_several_times_at_once_meets_no_error(store: SqlStore) -> None:
    """R8, S11: each sign-in is followed by the limit, which ends what another may just begin."""

    def sign_in(anonymous: StoredSession) -> None:
        new = a_session(user_id="ann", signed_in_at=NOW)
        assert store.renew(marking(anonymous), 1, new)
        store.end_oldest("session", "ann", 2, NOW)

    for _ in range(30):
        rows = [a_session() for _ in range(4)]
        for row in rows:
            store.insert(row)
        assert at_once(*[partial(sign_in, row) for row in rows]) == [None] * 4
    assert len(store.of_user("session", "ann", NOW)) == 2


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_mariadbs_strict_snapshots_make_lost_races(store: SqlStore, owner: Engine) -> None:
    """S11: 1020, from MariaDB 11.6 on by default, in a transaction that has read the row before."""
    if not run(owner, "SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
        pytest.skip("MySQL has no strict snapshots")
    row = a_session()
    store.insert(row)
    with owner.connect() as other:
        other.exec_driver_sql("SET SESSION innodb_snapshot_isolation = ON")
        other.exec_driver_sql("BEGIN")
        other.exec_driver_sql("SELECT count(*) FROM sessions")
        assert store.update(replace(row, version=2), 1)
        with pytest.raises(DBAPIError, match="1020") as caught:
            _lock(other, "digest = %s", row.digest)
        other.exec_driver_sql("ROLLBACK")
    assert caught.value.orig is not None
    assert is_lost_race(caught.value.orig)
