"""Servers, databases and connections that prefer other encodings, or another SQL (V2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from harness.servers.mariadb import MariaDB
from harness.servers.postgresql import PostgreSQL
from myapp.sessions import SchemaError
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session, marking
from tests.outcomes.app import Note
from tests.outcomes.site import Site, opened
from tests.sessions.app import App, create_table
from tests.test_migrations import execute

AGENT = "Mözilla 😀"
MODES = ("ORACLE", "ANSI", "NO_BACKSLASH_ESCAPES", "EMPTY_STRING_IS_NULL", "")


@contextmanager
def encoded(server: PostgreSQL, encoding: str) -> Iterator[str]:
    """The URL of an empty database in an encoding."""
    name = f"test_{encoding.lower()}"
    with psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}'".encode())
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)


def sign_in(request: Any) -> str:
    request.session.sign_in("ünï")
    return str(request.session.user_id)


def recorded(app: App) -> str | None:
    """What is kept of the user agent of somebody who signs in."""
    # As servers hand it on, each byte a character.
    agent = AGENT.encode().decode("latin-1")
    assert app.get("/in", HTTP_USER_AGENT=agent).text == "ünï"
    (info,) = app.manager.of_user("ünï")
    return info.user_agent


@pytest.mark.parametrize("charset", ["utf8", "latin1", "ascii", "sjis"])
def test_any_charset_of_a_mariadb_connection_will_do(mariadb: MariaDB, charset: str) -> None:
    """V2, C2: an emoji is no error; sessions travel as Unicode."""
    with mariadb.database() as url:
        execute(url, "ALTER DATABASE CHARACTER SET latin1;\n")
        create_table(url)
        with closing(App(f"{url}&charset={charset}", {"in": sign_in})) as app:
            assert recorded(app) == AGENT


def write_both(request: Any) -> str:
    request.dbsession.add(Note(id=1))
    request.dbsession.flush()
    request.session["it's"] = '\\"😀'
    return "done"


def assert_written(site: Site) -> None:
    """The note and the session are both there."""
    answer = site.call(write_both)
    assert answer.error is None
    assert site.has_note(1)
    assert [values for _, values in site.manager.iterate()] == [{"it's": '\\"😀'}]


def test_a_transaction_that_lacks_characters_is_not_joined(
    mariadb: MariaDB, postgresql: PostgreSQL
) -> None:
    """S6, V2: the session is saved on its own then, and the application's data are as ever."""
    for more in ("", "&collation=latin1_general_cs"):
        with mariadb.database() as url, opened(f"{url}&charset=latin1{more}") as site:
            assert_written(site)
    with postgresql.database() as url, opened(f"{url}?client_encoding=latin1") as site:
        assert_written(site)


@pytest.mark.parametrize("mode", MODES)
def test_any_sql_mode_of_mariadb_will_do(mariadb: MariaDB, mode: str) -> None:
    """V2: of the server, for our connections and for the application's."""
    with mariadb.database() as url:
        with mariadb._cursor() as cursor:
            cursor.execute("SET GLOBAL sql_mode = %s", (mode,))
        try:
            with opened(url) as site:
                assert_written(site)
                store = site.manager.store
                old, other, new = a_session(), a_session(), a_session()
                for row in (old, other):
                    store.insert(row)
                assert store.renew(marking(old), 1, new, [marking(other)])
                assert store.sweep(2**62, 100) >= 3
        finally:
            with mariadb._cursor() as cursor:
                cursor.execute("SET GLOBAL sql_mode = DEFAULT")


@pytest.mark.parametrize(
    ("encoding", "kept"),
    [("LATIN1", "Mözilla ?"), ("WIN1252", "Mözilla ?"), ("KOI8R", "M?zilla ?")],
)
def test_a_postgresql_database_that_lacks_characters_gets_question_marks(
    postgresql: PostgreSQL, encoding: str, kept: str
) -> None:
    """V2: of a user agent; nobody's is an error, within a transaction either."""
    with encoded(postgresql, encoding) as url:
        create_table(url)
        with closing(App(url, {"in": lambda r: r.session.sign_in("ann") or "ünï"})) as app:
            agent = AGENT.encode().decode("latin-1")
            app.get("/in", HTTP_USER_AGENT=agent)
            assert [info.user_agent for info in app.manager.of_user("ann")] == [kept]


def test_sql_ascii_is_one_clear_line(postgresql: PostgreSQL) -> None:
    """V2: at the start, where migrations have gone well."""
    with encoded(postgresql, "SQL_ASCII") as url:
        create_table(url)
        with pytest.raises(SchemaError, match=r"SQL_ASCII.*WITH ENCODING 'UTF8'"):
            App(url, {})


def test_pgoptions_are_kept(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """V2, L9: beside our limit, and with the last word on it."""
    with postgresql.database() as url:
        execute(url, "CREATE SCHEMA shop;\n")
        monkeypatch.setenv("PGOPTIONS", "-c search_path=shop")
        create_table(url)
        with closing(SqlStore(url)) as store:
            store.check()
            monkeypatch.delenv("PGOPTIONS")
        with closing(SqlStore(url)) as store, pytest.raises(SchemaError):
            store.check()
