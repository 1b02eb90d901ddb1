"""Whose sessions are listed and ended, on each database: those of exactly that user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Executable

import myapp.sessions.sql.statements as sql
from myapp.sessions import SessionManager, make_manager
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.sql.compiled import CompiledStatements
from myapp.sessions.sql.store import SqlStore
from tests.sessions.app import create_table

# Users of whom a database could make one: by case, by accents, by how a letter is composed, by
# blanks at the end, by width.
ALIKE = ["ann", "ann ", "ann  ", "Ann", "ánn", "a\u0301nn", " ann", "\uff41nn"]


@pytest.fixture
def manager(database_url: str) -> Iterator[SessionManager]:
    create_table(database_url)
    store = SqlStore(database_url)
    yield make_manager(read_session_settings({"session.max_per_user": "1"}, {}), store)
    store.close()


def signed_in(manager: SessionManager, user_id: Any) -> str:
    """The handle of a new session of a user."""
    with manager.session() as session:
        session.sign_in(user_id)
    return session.handle


def test_users_that_look_alike_are_several(manager: SessionManager) -> None:
    """I11, R8: in lists, for the limit, and where all of one are ended."""
    handles = {user: signed_in(manager, user) for user in ALIKE}
    for user in ALIKE:
        assert [info.handle for info in manager.of_user(user)] == [handles[user]]
    assert manager.end(handles["ann "], user_id="ann") is False
    for count, user in enumerate(ALIKE, 1):
        assert manager.end_all(user) == 1
        assert len(list(manager.iterate())) == len(ALIKE) - count


def test_a_name_is_stored_to_the_letter_or_refused(manager: SessionManager) -> None:
    """I11: what one database would change or refuse, none gets."""
    for name in ("x" * 255, "\U0001f600" * 255, " ", "ann \U0001f600 ", "'\"\\%_"):
        signed_in(manager, name)
        assert [info.user_id for info in manager.of_user(name)] == [name]
    for name in ("a\0", "\ud800", "x" * 256, "", "a\n"):
        with pytest.raises(ValueError, match="printable text of 1 to 255"):
            signed_in(manager, name)
        assert manager.of_user(name) == []
        assert manager.end_all(name) == 0


def test_who_is_no_user_has_no_sessions(manager: SessionManager) -> None:
    """I11: they are not those of a user named "None"; neither is a visitor, to `end` a session."""
    names = ["None", "True", "b'ann'", "1.5"]
    handles = [signed_in(manager, name) for name in names]
    for nobody in (None, True, b"ann", 1.5):
        for use in (manager.of_user, manager.end_all):
            with pytest.raises(TypeError, match="a user id must be a str, an int or a UUID"):
                use(nobody)  # type: ignore[arg-type]  # is the point
        with pytest.raises(TypeError, match="a user id must be a str, an int or a UUID"):
            manager.end(handles[0], user_id=nobody)  # type: ignore[arg-type]  # is the point
    with pytest.raises(TypeError, match="keep must be the handle"):
        manager.end_all("None", keep=b"")  # type: ignore[arg-type]  # is the point
    assert sorted(info.user_id or "" for info, _ in manager.iterate()) == sorted(names)


def test_what_is_no_handle_finds_nothing(manager: SessionManager) -> None:
    """I11: a link may hold anything, and no database is to fail at it."""
    handle = signed_in(manager, "ann")
    for odd in (
        f"{handle} ",
        f" {handle}",
        handle.swapcase(),
        handle[:-1],
        "\0" * 22,
        "\ud800",
        "",
    ):
        assert manager.end(odd) is False
    with pytest.raises(TypeError, match="a session's handle must be a str"):
        manager.end(None)  # type: ignore[arg-type]  # is the point
    assert manager.end(handle) is True


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (sql.of_user, "ix_sessions_user_id"),
        (sql.last_sign_in, "ix_sessions_user_id"),
        (sql.beyond_limit, "ix_sessions_user_id"),
        (sql.find, "handle"),
    ],
    ids=["of_user", "last_sign_in", "beyond_limit", "find"],
)
def test_an_index_leads_to_what_is_asked_for(
    manager: SessionManager, database_url: str, statement: Executable, index: str
) -> None:
    """R8, I11, P1: a comparison by bytes costs no look at the sessions of others."""
    assert isinstance(manager.store, SqlStore)
    handles = [signed_in(manager, f"user {number}") for number in range(300)]
    whose = {"user_id": "user 7", "handle": handles[7], "manager": "session"}
    values = whose | {"now": 0, "keep": 3}
    with manager.store.engine.connect() as connection:
        dialect = connection.dialect
        if dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE sessions")
        words = "EXPLAIN QUERY PLAN" if dialect.name == "sqlite" else "EXPLAIN"
        text, arguments = CompiledStatements(dialect)[statement](values)
        cursor = connection.connection.cursor()
        cursor.execute(f"{words} {text}", arguments)
        plan = str(cursor.fetchall())
    assert index in plan
    # SQLite calls it a scan, too, to read all of an index.
    assert "SCAN" not in plan
