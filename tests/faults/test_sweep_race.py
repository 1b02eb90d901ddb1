"""What the checker meets too seldom: a session that is touched while a sweeper is at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Executable

from myapp.sessions.sql import statements
from myapp.sessions.sql.connection import Connection
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import NOW, a_session
from tests.sessions.app import create_table


# PostgreSQL locks what it finds, so that nobody touches it meanwhile.
@pytest.mark.parametrize("database_url", ["sqlite", "mariadb"], indirect=True)
def test_what_is_touched_after_a_sweeper_found_it_lives_on(
    database_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W1: the deletion tests expiry again; the sweeper's clock is ahead of the toucher's."""
    create_table(database_url)
    sweeping, other = SqlStore(database_url), SqlStore(database_url)
    request.addfinalizer(sweeping.close)
    request.addfinalizer(other.close)
    row = a_session(seen_at=NOW - 5000, expires_at=NOW)
    other.insert(row)
    touched = []

    class Interrupted(Connection):
        """A connection that lets the other store in before it deletes."""

        __slots__ = ()

        def execute(self, statement: Executable, values: Mapping[str, Any]) -> int:
            if statement is statements.sweep:
                touched.append(
                    other.touch(
                        row.digest, seen_at=NOW - 900, expires_at=NOW + 4100, not_since=NOW - 1000
                    )
                )
            return super().execute(statement, values)

    monkeypatch.setattr("myapp.sessions.sql.opening.Connection", Interrupted)
    sweeping.sweep(NOW + 100, 10)
    assert touched == [True]
    assert [found.digest for found in other.load([row.digest])] == [row.digest]
