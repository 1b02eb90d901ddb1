"""A database that answers and says no: one line at the start, for no outage ever ends so."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

import myapp
from harness.servers.mariadb import MariaDB
from harness.servers.ports import LOOPBACK
from harness.servers.postgresql import PostgreSQL
from myapp import starting
from myapp.database import create_database_engine, reason_of, refusal_of
from myapp.environment import SettingError
from myapp.settings import read_application_settings
from myapp.starting import refuse_database
from tests import foreign_app
from tests.needed import NEEDED
from tests.sessions.app import create_table

USER, PASSWORD = "stranger_of_the_tests", "geheim"


@pytest.fixture(params=["postgresql", "mariadb"])
def stranger_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with the table, and a user who may connect to it and may not look into it."""
    server: PostgreSQL | MariaDB = request.getfixturevalue(request.param)
    with server.database() as url:
        create_table(url)
        given = make_url(url)
        run(url, *_make_user(request.param, str(given.database)))
        yield given.set(username=USER, password=PASSWORD).render_as_string(hide_password=False)
        run(url, *_drop_user(request.param, str(given.database)))


def _make_user(kind: str, database: str) -> list[str]:
    if kind == "postgresql":
        return [f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"]
    return [
        f"CREATE USER {USER} IDENTIFIED BY '{PASSWORD}'",
        f"GRANT CREATE ON {database}.* TO {USER}",
    ]


def _drop_user(kind: str, database: str) -> list[str]:
    if kind == "postgresql":
        owned = [f"DROP OWNED BY {USER}"] if database else []
        return [*owned, f"DROP ROLE {USER}"]
    return [f"DROP USER {USER}"]


def run(url: str, *statements: str) -> None:
    """Run statements as the server's administrator."""
    engine = create_database_engine(url)
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """C2: the line is the only one; an outage that is none is not in the log."""
    yield
    said = caplog.get_records("call")
    assert not [record.getMessage() for record in said if record.levelno >= logging.ERROR]


def line_of(**settings: str) -> str:
    """What the application says instead of starting."""
    with pytest.raises(SystemExit) as caught:
        myapp.main({"__file__": "some.ini"}, **settings, **NEEDED)
    line = str(caught.value.code)
    assert "\n" not in line
    assert PASSWORD not in line
    assert "(from [app:main] of some.ini): expected a database that this user may use (" in line
    return line


@pytest.mark.parametrize("key", ["sqlalchemy.url", "session.url"])
def test_a_missing_right_is_one_line(stranger_url: str, key: str, tmp_path: Path) -> None:
    """C2: the user comes in, and may not read the sessions' table."""
    settings = {"sqlalchemy.url": f"sqlite:///{tmp_path}/x.sqlite", key: stranger_url}
    assert line_of(**settings).startswith(f"myapp: {key} = ")


@pytest.mark.parametrize("missing", ["INSERT", "UPDATE", "DELETE"])
def test_a_missing_right_to_write_is_one_line(stranger_url: str, missing: str) -> None:
    """C2: of the four that databases.md names; no server starts and then saves nothing."""
    rights = ", ".join({"SELECT", "INSERT", "UPDATE", "DELETE"} - {missing})
    given = make_url(stranger_url)
    is_mariadb = given.get_backend_name() == "mariadb"
    root = given._replace(username="root" if is_mariadb else "postgres", password=None)
    table = f"{given.database}.sessions" if is_mariadb else "sessions"
    run(root.render_as_string(hide_password=False), f"GRANT {rights} ON {table} TO {USER}")
    said = line_of(**{"sqlalchemy.url": stranger_url}).partition("may use")[2]
    assert "denied" in said


@pytest.mark.parametrize("key", ["sqlalchemy.url", "session.url"])
def test_an_unknown_database_is_one_line(stranger_url: str, key: str, tmp_path: Path) -> None:
    """C2: never a server that starts, and answers 503 for good."""
    url = make_url(stranger_url).set(database="nowhere").render_as_string(hide_password=False)
    settings = {"sqlalchemy.url": f"sqlite:///{tmp_path}/x.sqlite", key: url}
    assert "nowhere" in line_of(**settings).partition("may use")[2]


def test_a_database_of_the_application_alone_is_looked_at_too(
    stranger_url: str, tmp_path: Path
) -> None:
    """C2: where sessions live elsewhere, nothing else would tell before a visitor does."""
    create_table(apart := f"sqlite:///{tmp_path}/apart.sqlite")
    url = make_url(stranger_url).set(username="nobody").render_as_string(hide_password=False)
    line = line_of(**{"sqlalchemy.url": url, "session.url": apart})
    assert line.startswith("myapp: sqlalchemy.url = ")
    assert "nobody" in line.partition("may use")[2]


@pytest.mark.parametrize("migrate", ["false", "true"])
def test_a_wrong_password_is_one_line(mariadb: MariaDB, migrate: str) -> None:
    """C2: MariaDB says so by a number; it is found out before anything is migrated."""
    with mariadb.database() as url:
        wrong = make_url(url).set(username="nobody", password=PASSWORD)
        settings = {"sqlalchemy.url": wrong.render_as_string(hide_password=False)}
        line = line_of(**settings, **{"database.migrate_on_start": migrate})
    assert "Access denied" in line


def test_a_wrong_password_of_postgresql_is_one_line(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """C2: libpq says so in words alone; the server asks for passwords for this test."""
    hba = postgresql.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    with postgresql.database() as url:
        reload = "SELECT pg_reload_conf()"
        run(url, *_make_user("postgresql", ""))
        try:
            hba.write_text(f"host all {USER} 127.0.0.1/32 scram-sha-256\n{before}")
            run(url, reload)
            wrong = make_url(url).set(username=USER, password=f"not_{PASSWORD}")
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                _until_refused(wrong.set(drivername="postgresql").render_as_string(False))
            line = line_of(**{"sqlalchemy.url": wrong.render_as_string(hide_password=False)})
        finally:
            hba.write_text(before)
            run(url, reload, *_drop_user("postgresql", ""))
    assert "password authentication failed" in line


def _until_refused(url: str) -> None:
    """The server reads its file a moment after it was told to."""
    for _ in range(10_000):
        psycopg.connect(url).close()


@pytest.mark.parametrize(
    ("kind", "parameter", "words"),
    [
        ("postgresql", "client_encoding=klingon", "invalid value for parameter"),
        ("postgresql", "client_encoding=euc_tw", "codec not available"),
        ("postgresql", "options=-cklingon%3D1", "unrecognized configuration parameter"),
        ("postgresql", "options=endpoint%3Dx", "invalid command-line argument"),
        ("mariadb", "collation=klingon", "Unknown collation"),
        ("mariadb", "sql_mode=klingon", "can't be set to the value of 'klingon'"),
        ("mariadb", "init_command=SELEKT", "error in your SQL syntax"),
    ],
)
def test_what_a_server_refuses_of_a_url_is_one_line(
    kind: str, parameter: str, words: str, request: pytest.FixtureRequest
) -> None:
    """C2: a server knows more than its driver; some of it counts for the application alone."""
    with request.getfixturevalue(kind).database() as url:
        create_table(url)
        joined = f"{url}{'&' if '?' in url else '?'}{parameter}"
        assert words in line_of(**{"sqlalchemy.url": joined}).partition("may use")[2]


@pytest.mark.parametrize(
    ("kind", "statements"),
    [
        ("mariadb", ["SELEKT"]),
        ("postgresql", ["CREATE TABLE certificates (x INT)", "CREATE TABLE certificates (x INT)"]),
        ("postgresql", ["SET work_mem = 'klingon'"]),
    ],
)
def test_an_error_of_a_statement_is_no_refusal(
    kind: str, statements: list[str], request: pytest.FixtureRequest
) -> None:
    """C2: it may be a migration's, and is shown with its statement."""
    server: PostgreSQL | MariaDB = request.getfixturevalue(kind)
    with server.database() as url, pytest.raises(DBAPIError) as caught:
        run(url, *statements)
    assert refusal_of(caught.value) is None


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+pymysql"])
def test_the_name_of_a_host_is_no_refusal(driver: str) -> None:
    """C2: nobody knows it now, which may be an outage."""
    engine = create_database_engine(f"{driver}://u@certificates.invalid/d")
    with pytest.raises(DBAPIError) as caught:
        engine.connect()
    assert refusal_of(caught.value) is None


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_server_that_says_nothing_is_an_outage(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2: as a proxy does whose database is down: nobody waits for it without end."""
    monkeypatch.setattr(starting, "_PATIENCE", 100)
    with socket.create_server((LOOPBACK, 0)) as silent:
        url = f"{kind}://u:p@{LOOPBACK}:{silent.getsockname()[1]}/d"
        refuse_database(read_application_settings({"sqlalchemy.url": url}, {}))


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    """C2: of SQLite."""
    file = tmp_path / "x.sqlite"
    file.write_bytes(b"This is a letter, and no database at all. " * 100)
    assert "not a database" in line_of(**{"sqlalchemy.url": f"sqlite:///{file}"})


def test_a_foreign_application_is_refused_too(stranger_url: str) -> None:
    """C2: by the include."""
    with pytest.raises(SettingError, match="a database that this user may use"):
        foreign_app.main({}, **{"session.url": stranger_url})


def test_a_password_beyond_ascii_signs_in(mariadb: MariaDB) -> None:
    """C2: PyMySQL would encode it as Latin-1, and fail or be refused."""
    password = "пароль-€-😀"
    with mariadb.database() as url:
        run(url, f"CREATE USER {USER} IDENTIFIED BY '{password}'")
        try:
            given = make_url(url).set(username=USER, password=password)
            given = given.set(database="information_schema")
            engine = create_database_engine(given.render_as_string(hide_password=False))
            with engine.connect() as connection:
                user = connection.exec_driver_sql("SELECT CURRENT_USER()").scalar_one()
            engine.dispose()
        finally:
            run(url, f"DROP USER {USER}")
    assert user.startswith(USER)


def _rolled_back_in_vain() -> None:
    try:
        raise psycopg.errors.InvalidCatalogName("no such database: shop")
    finally:
        raise psycopg.OperationalError("the connection is lost")


def test_a_rollback_that_fails_as_well_hides_no_reason() -> None:
    """C2: a pooler closes a connection after its refusal, before SQLAlchemy's rollback or after."""
    with pytest.raises(psycopg.OperationalError, match="is lost") as caught:
        _rolled_back_in_vain()
    assert reason_of(caught.value) == "InvalidCatalogName: no such database: shop"
    assert "no such database: shop" in (refusal_of(caught.value) or "")
