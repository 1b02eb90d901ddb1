"""Writes on a connection of SQLAlchemy's, in a transaction that is somebody else's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, Executable

from myapp.database import create_database_engine
from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.sql.writer import SqlWriter
from myapp.sessions.testing.contract import a_session, at_once, marking
from tests.sessions.app import create_table

SERVERS = pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)


class CoreWriter(SqlWriter):
    """Writes as the application's connection lets it, and is never run again."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.dialect.name)
        self.connection = connection

    def execute(self, statement: Executable, values: Mapping[str, Any]) -> int:
        met: int = self.connection.execute(statement, values).rowcount
        return met


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    create_table(database_url)
    engine = create_database_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine, database_url: str) -> Iterator[SqlStore]:
    store = SqlStore(database_url)
    yield store
    store.close()


def test_a_write_ends_others_within_the_transaction(engine: Engine, store: SqlStore) -> None:
    """S3, S6: each row is set to what was meant, and to no parameter of a condition."""
    updated, renewed, *others = (a_session(version=3) for _ in range(5))
    for row in (updated, renewed, *others):
        store.insert(row)
    endings = [replace(marking(row, "merged"), version=3) for row in others]
    inserted, new = a_session(user_id="ann", signed_in_at=5), a_session(handle=renewed.handle)
    changed = replace(updated, version=4, data=b"new")
    with engine.begin() as connection:
        writer = CoreWriter(connection)
        assert writer.insert(inserted, endings[:1]) is True
        assert writer.update(changed, 3, endings[1:2]) is True
        assert writer.renew(marking(renewed), 3, new, endings[2:]) is True
    for row in (inserted, changed, new):
        assert store.load([row.digest]) == [row]
    markers = store.load([row.digest for row in others])
    assert {(row.ended, row.version, row.data) for row in markers} == {("merged", 4, b"rest")}


def test_a_condition_that_fails_leaves_the_transaction_as_it_was(
    engine: Engine, store: SqlStore
) -> None:
    """S3, S6: nothing was written, and nothing has to be rolled back."""
    rows = [a_session(version=3) for _ in range(3)]
    for row in rows:
        store.insert(row)
    mine, other, free = rows
    endings = [marking(free), Ending(other.digest, "merged", version=2)]
    with engine.begin() as connection:
        writer = CoreWriter(connection)
        assert writer.insert(a_session(), endings) is False
        assert writer.update(replace(mine, version=4), 3, endings) is False
        assert writer.update(replace(mine, version=3), 2, [marking(free)]) is False
        assert writer.renew(marking(mine), 3, a_session(), endings) is False
        assert writer.renew(marking(mine), 2, a_session(), [marking(free)]) is False
        assert writer.end(endings[1:]) == 0
    assert sorted(store.iterate("session"), key=rows.index) == rows


@SERVERS
def test_two_merges_in_both_directions_do_not_deadlock(engine: Engine, store: SqlStore) -> None:
    """S3: whichever comes second waits, and is told that it came too late."""

    def merge(mine: StoredSession, other: StoredSession) -> bool:
        absorbed = replace(marking(other, "merged"), version=other.version)
        with engine.begin() as connection:
            changed = replace(mine, version=mine.version + 1)
            return CoreWriter(connection).update(changed, mine.version, [absorbed])

    for _ in range(50):
        one, two = a_session(version=3), a_session(version=5)
        store.insert(one)
        store.insert(two)
        results = at_once(partial(merge, one, two), partial(merge, two, one))
        assert sorted(map(str, results)) == ["False", "True"]


@SERVERS
def test_endings_in_any_order_do_not_deadlock(engine: Engine, store: SqlStore) -> None:
    """R8: two requests that end the same sessions, each in an order of its own."""

    def end(endings: list[Ending]) -> int:
        with engine.begin() as connection:
            return CoreWriter(connection).end(endings)

    for _ in range(20):
        sessions = [a_session() for _ in range(10)]
        for row in sessions:
            store.insert(row)
        endings = [marking(row) for row in sessions]
        counts = at_once(partial(end, endings), partial(end, endings[::-1]))
        assert sorted(counts) == [0, 10]
