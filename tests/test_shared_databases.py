"""Several applications, and tables of somebody else's, in one database (C, G6)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pyramid.config import Configurator
from pyramid.registry import Registry
from sqlalchemy import Executable, MetaData, NullPool, inspect, text

import myapp
import myapp.sessions.sql.statements as sql
from harness.processes import ROOT
from myapp import migrations
from myapp.database import create_database_engine
from myapp.database_url import parse_url
from myapp.migrations import MigrationError, Names
from myapp.scripts.sessions import DIALECTS, ddl, dialect_of
from myapp.sessions import SchemaError, SettingError, get_manager
from myapp.sessions.sql.compiled import CompiledStatements
from myapp.sessions.sql.model import named
from myapp.sessions.sql.pymysql import load_packed
from myapp.sessions.sql.store import SqlStore
from tests.outcomes.app import Note
from tests.outcomes.site import opened
from tests.sessions.app import App, create_table
from tests.test_migrations import alembic, execute, tables

# The revision up to which the migrations are those of sessions alone.
SESSIONS_ALONE = "0002"
# Words that a database takes for its own, capitals, and what has to be quoted.
NAMES = {
    "sqlite": ("select", "Web-Sessions"),
    "postgresql": ("shop.sessions", "Shop-2.select"),
    "mariadb": ("{other}.sessions", "web-Sessions"),
}
OF_OTHERS = "CREATE TABLE sessions (sid VARCHAR(40) PRIMARY KEY, sess VARCHAR(40));\n"


def kind_of(url: str) -> str:
    """What the tests call the database."""
    backend = parse_url(url).get_backend_name()
    return "mariadb" if backend == "mysql" else backend


@pytest.fixture
def names(database_url: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Two names of tables in the database; the schemas of both are there."""
    kind = kind_of(database_url)
    with ExitStack() as stack:
        other = ""
        if kind == "mariadb":
            url = stack.enter_context(request.getfixturevalue("mariadb").database())
            other = parse_url(url).database or ""
        if kind == "postgresql":
            execute(database_url, 'CREATE SCHEMA shop;\nCREATE SCHEMA "Shop-2";\n')
        first, second = (name.format(other=other) for name in NAMES[kind])
        yield first, second


def make_table(url: str, name: str) -> None:
    """Make a sessions table, as `myapp-sessions INI schema` prints it."""
    backend = parse_url(url).get_backend_name()
    dialect = dialect_of("mysql" if backend == "mariadb" else backend)
    execute(url, f"{ddl(dialect, named(name))}\n")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database with the table `sessions`."""
    url = f"sqlite:///{tmp_path / 'sessions.sqlite'}"
    create_table(url)
    return url


def sign_in(request: Any) -> str:
    request.session.sign_in("ann")
    return str(request.session.token)


def seen(request: Any) -> str:
    return str(request.session.user_id)


@contextmanager
def application(url: str, name: str) -> Iterator[App]:
    """An application whose sessions have a table of this name."""
    app = App(url, {"in": sign_in, "seen": seen}, table=name)
    yield app
    app.close()


def test_two_applications_in_one_database_never_meet(
    database_url: str, names: tuple[str, str]
) -> None:
    """C, G6: a token opens nothing in the other one, and users of one id are two."""
    for name in names:
        make_table(database_url, name)
    with application(database_url, names[0]) as a, application(database_url, names[1]) as b:
        token = a.get("/in").text
        b.get("/in")
        assert (a.get("/seen", token).text, b.get("/seen", token).text) == ("ann", "None")
        assert (len(a.rows()), len(b.rows())) == (1, 1)
        assert a.manager.end_all("ann") == 1
        assert (a.manager.of_user("ann"), len(b.manager.of_user("ann"))) == ([], 1)
        assert b.manager.store.sweep(2**62, 10) >= 1
        assert (len(a.rows()), len(b.rows())) == (0, 0)


STATEMENTS = {
    name: statement
    for name, statement in vars(sql).items()
    if isinstance(statement, Executable) and not name.startswith("_") and name != "table_oid"
}


def with_text(statement: Any) -> Any:
    """Every statement of ours can be compiled, which its type does not say."""
    return statement


@pytest.mark.parametrize("kind", DIALECTS)
def test_each_statement_is_the_same_on_a_table_of_another_name(kind: str) -> None:
    """C: all that the tests of stores prove of `sessions` holds for any name."""
    dialect = dialect_of(kind)
    ours, other = CompiledStatements(dialect), CompiledStatements(dialect, named("a-b.c-d"))
    quoted = dialect.identifier_preparer.format_table(named("a-b.c-d"))
    for statement in (*STATEMENTS.values(), load_packed):
        needed = with_text(statement).compile(dialect=dialect).params
        values = {name: [b"1"] if name == "digests" else name for name in needed}
        (text, given), (renamed, same) = ours[statement](values), other[statement](values)
        assert renamed.replace(quoted, "sessions") == text
        assert "sessions" not in renamed
        assert same == given
    assert len(STATEMENTS) > 20


def test_sessions_of_a_named_table_are_saved_within_the_transaction(
    database_url: str, names: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """S6, C: there, and not into the table `sessions` beside it."""
    make_table(database_url, names[0])

    def view(request: Any) -> str:
        request.dbsession.add(Note(id=1))
        request.dbsession.flush()
        request.session["a"] = 1
        return "done"

    with opened(database_url, table=names[0]) as site:
        with caplog.at_level(logging.DEBUG, "myapp.sessions.sql.joined"):
            assert site.call(view).cookies
        assert "within the request's transaction" in caplog.text
        assert [values for _, values in site.manager.iterate()] == [{"a": 1}]
        with site.engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM sessions")) == 0


def test_a_table_of_somebody_elses_is_called_that(database_url: str) -> None:
    """C: not old, and no alembic of ours is advised; migrations leave it alone, too."""
    execute(database_url, OF_OTHERS)
    with pytest.raises(SchemaError) as caught, application(database_url, "sessions"):
        pass
    message = str(caught.value)
    assert message.startswith("the table 'sessions' belongs to another application")
    assert "session.table" in message
    assert "alembic" not in message
    with pytest.raises(MigrationError) as refused:
        migrations.upgrade(database_url)
    assert "there is already a table 'sessions'" in str(refused.value)
    assert "session.table" in str(refused.value)
    # With names of our own all is well, and nothing of theirs has changed.
    own = Names(sessions="shop_sessions", versions="shop_version")
    migrations.upgrade(database_url, names=own)
    with application(database_url, "shop_sessions") as app:
        assert app.get("/in").status_int == 200
    with_ours = {"sessions", "shop_sessions", "shop_version"}
    assert tables(database_url) >= with_ours
    execute(database_url, "INSERT INTO sessions VALUES ('a', 'b');\n")


def test_a_missing_table_of_another_name_tells_of_the_version_table(database_url: str) -> None:
    """C, I14: alembic may say that all is done, since it was for another application."""
    migrations.upgrade(database_url)
    with pytest.raises(SchemaError) as caught, application(database_url, "shop_sessions"):
        pass
    assert str(caught.value).startswith("there is no table 'shop_sessions': run `alembic upgrade")
    assert "database.version_table" in str(caught.value)


def test_alembic_keeps_to_the_names_of_the_settings(
    database_url: str, names: tuple[str, str]
) -> None:
    """C, I14: two applications, each up, checked and down again without the other; no more than one
    of them has further features.
    """
    own = Names(sessions=names[0], versions="one_version")
    migrations.upgrade(database_url, SESSIONS_ALONE, names=own)
    given = ("-x", f"session.table={names[1]}", "-x", "database.version_table=Other-version")
    alembic(*given, "upgrade", "head", url=database_url)
    assert "No new upgrade operations" in alembic(*given, "check", url=database_url)
    assert tables(database_url) >= {"one_version", "Other-version"}
    alembic(*given, "downgrade", "base", url=database_url)
    first = SqlStore(database_url, table=names[0])
    first.check()
    first.close()
    # The constraints and indexes are those that the model names.
    engine = create_database_engine(database_url, poolclass=NullPool)
    schema, _, plain = names[0].rpartition(".")
    found = {index["name"] for index in inspect(engine).get_indexes(plain, schema=schema or None)}
    assert found >= {f"ix_{plain}_user_id", f"ix_{plain}_sweep_at"}


def included(url: str, **settings: str) -> Registry:
    """The registry of an application with two kinds of session."""
    given = {"session.url": url, "session.cookie_name": "sid"}
    with Configurator(settings=given | settings) as config:
        config.include("myapp.sessions")
        config.add_session("admin_session")
    return config.make_wsgi_app().registry


def test_another_kind_of_session_has_the_first_ones_table_or_its_own(sqlite_url: str) -> None:
    """C, I9: and then its own store."""
    make_table(sqlite_url, "shop")
    make_table(sqlite_url, "admin")
    for own, expected in ({}, "shop"), ({"admin_session.table": "admin"}, "admin"):
        registry = included(sqlite_url, **{"session.table": "shop"}, **own)
        stores = [get_manager(registry, name).store for name in ("session", "admin_session")]
        found = [store.table.name for store in stores if isinstance(store, SqlStore)]
        assert found == ["shop", expected]
        for store in stores:
            store.close()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("session.table", "a.b", "a name without a schema, which SQLite does not have"),
        ("admin_session.table", "sqlite_x", "a name that does not begin with sqlite_"),
    ],
)
def test_a_name_that_sqlite_can_not_have_is_one_line(
    sqlite_url: str, key: str, value: str, expected: str
) -> None:
    """C2, C: of the first kind of session and of others."""
    with pytest.raises(SettingError) as caught:
        included(sqlite_url, **{key: value})
    words = f"{key} = {value} (from the application's settings): expected {expected}"
    assert str(caught.value).startswith(words)


def test_an_alembic_that_does_not_know_the_table_is_told_to_leave_it_alone(
    database_url: str,
) -> None:
    """C: by the lines of the page; without them it would drop the table."""
    make_table(database_url, "sessions")
    page = (ROOT / "docs" / "how-to" / "own-application.md").read_text("utf-8")
    told: dict[str, Any] = {}
    exec(page[page.index("def include_object") :].partition("```")[0], told)  # the page's own
    engine = create_database_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        for options, expected in ({}, 1), ({"include_object": told["include_object"]}, 0):
            context = MigrationContext.configure(connection, opts=options)
            found = compare_metadata(context, MetaData())
            assert [change[0] for change in found].count("remove_table") == expected


@pytest.mark.parametrize(
    ("table", "versions", "key", "expected"),
    [
        ("shop", "Shop", "session.table", "a name other than that of database.version_table"),
        ("Users", "v", "session.table", "a name that no other table of this application has"),
        ("s", "users", "database.version_table", "a name that no other table of this application"),
        ("s", "sqlite_v", "database.version_table", "a name that does not begin with sqlite_"),
    ],
)
def test_no_two_tables_can_have_one_name(
    tmp_path: Path, table: str, versions: str, key: str, expected: str
) -> None:
    """C2: said before anything is made, since MariaDB keeps the half of a migration."""
    file = tmp_path / "a.sqlite"
    settings = {
        "sqlalchemy.url": f"sqlite:///{file}",
        "database.migrate_on_start": "true",
        "session.table": table,
        "database.version_table": versions,
    }
    with pytest.raises(SystemExit) as caught:
        myapp.main({}, **settings)
    line = str(caught.value.code)
    assert line.startswith(f"myapp: {key} = {settings[key]} (from [app:main] of the ini file): ")
    assert f"expected {expected}" in line
    assert not tables(settings["sqlalchemy.url"])
