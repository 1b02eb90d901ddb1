"""Database URLs as hosts hand them out, and as people copy them (C2)."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

import myapp
from harness.processes import ROOT, clean_environment
from myapp.database_url import parse_url
from myapp.setting_table import Expected
from myapp.settings import read_application_settings
from tests.needed import NEEDED

PG, MY = "postgresql+psycopg://u:***@h/d", "mysql+pymysql://u:***@h/d"

UNDERSTOOD = {
    # Spellings, and what is copied along.
    "postgres://u:p@h/d": PG,
    "pgsql://u:p@h/d": PG,
    "postgres+psycopg://u:p@h/d": PG,
    "mysql2://u:p@h/d": MY,
    "mariadb://u:p@h/d": "mariadb+pymysql://u:***@h/d",
    "sqlite3:////x": "sqlite:////x",
    "  postgres://u:p@h/d \r\n": PG,
    '"postgres://u:p@h/d"\n': PG,
    "'mysql://u:p@h/d'": MY,
    "jdbc:postgresql://h/d?user=u&password=p": PG,
    "jdbc:mysql://h/d?user=u&password=p&useSSL=true": f"{MY}?ssl_mode=REQUIRED",
    "postgres://u:p@h/d/": PG,
    "POSTGRES://u:p@h/d": PG,
    "postgis://u:p@h/d": PG,
    "postgres://u:p@h/d?ApplicationName=x": f"{PG}?application_name=x",
    "JDBC:MySQL://h/d?user=u&password=p": MY,
    # Passwords, hosts and sockets.
    "postgres://u:50%@h/d": PG,
    "postgres://u:p%2540@h/d": PG,
    "postgres://u:p/x?y#z@h/d": PG,
    "postgres://u:p,q@h/d": PG,
    "postgres://u:p,h?q@h/d": PG,
    "postgres://u:p,q@a,b/d": "postgresql+psycopg://u:***@/d?host=a%2Cb",
    "postgres://u:p@[::1]:5432/d": "postgresql+psycopg://u:***@[::1]:5432/d",
    "postgres://u@%2Frun%2Fpg/d": "postgresql+psycopg://u@/d?host=%2Frun%2Fpg",
    "postgres://u@/d?host=/run/pg": "postgresql+psycopg://u@/d?host=%2Frun%2Fpg",
    "mysql://u@/d?socket=/run/my.sock": "mysql+pymysql://u@/d?unix_socket=%2Frun%2Fmy.sock",
    "mysql://u@%2Frun%2Fmy.sock/d": "mysql+pymysql://u@/d?unix_socket=%2Frun%2Fmy.sock",
    "postgis://u:p@a,b/d": "postgresql+psycopg://u:***@/d?host=a%2Cb",
    "postgres://a:1,b:2/d?application_name=a@b": (
        "postgresql+psycopg:///d?application_name=a%40b&host=a%2Cb&port=1%2C2"
    ),
    "postgres://u:p@h/d?sslmode=prefer&sslrootcert=/nowhere": (
        f"{PG}?sslmode=prefer&sslrootcert=%2Fnowhere"
    ),
    "postgres://h/d&d?pgbouncer&application_name=": str(make_url("postgresql+psycopg://h/d&d")),
    "sqlite:////srv/R&D/x.sqlite": str(make_url("sqlite:////srv/R&D/x.sqlite")),
    "postgres://u:p@a:1,b:2/d": "postgresql+psycopg://u:***@/d?host=a%2Cb&port=1%2C2",
    "postgres://u:p@[::1],b:2/d?sslmode=require": (
        "postgresql+psycopg://u:***@/d?host=%3A%3A1%2Cb&port=%2C2&sslmode=require"
    ),
    "postgres:///?service=x": "postgresql+psycopg:///?service=x",
    # What demands security.
    "mysql://u:p@h/d?ssl-mode=REQUIRED": f"{MY}?ssl_mode=REQUIRED",
    "mysql://u:p@h/d?sslmode=require": f"{MY}?ssl_mode=REQUIRED",
    "mysql://u:p@h/d?sslaccept=strict": f"{MY}?ssl_mode=VERIFY_IDENTITY",
    "mysql://u:p@h/d?sslaccept=strict&sslmode=require": f"{MY}?ssl_mode=VERIFY_IDENTITY",
    'mysql://u:p@h/d?ssl={"rejectUnauthorized":true}': f"{MY}?ssl_mode=VERIFY_IDENTITY",
    "mysql://u:p@h/d?tls=skip-verify": f"{MY}?ssl_mode=REQUIRED",
    "mysql://u:p@h/d?useSSL=false": f"{MY}?ssl_mode=DISABLED",
    "mysql://u:p@h/d?useSSL=true&requireSSL=false": f"{MY}?ssl_mode=REQUIRED",
    "mysql://u:p@h/d?ssl_disabled=false": f"{MY}?ssl_disabled=false",
    "postgres://u:p@h/d?sslmode=require": f"{PG}?sslmode=require",
    "postgres://u:p@h/d?ssl=true": f"{PG}?sslmode=require",
    "postgres://u:p@h/d?ssl-mode=REQUIRED": f"{PG}?sslmode=require",
    "postgres://u:p@h/d?sslmode=no-verify": f"{PG}?sslmode=require",
    "postgres://u:p@h/d?sslmode=verify-full&sslrootcert=system": (
        f"{PG}?sslmode=verify-full&sslrootcert=system"
    ),
    "postgres://u:p@h/d?sslmode=require&channel_binding=require": (
        f"{PG}?channel_binding=require&sslmode=require"
    ),
    # What the drivers know themselves.
    "postgres://u:p@h/d?prepare_threshold=5": f"{PG}?prepare_threshold=5",
    "postgres://u:p@h/d?application_name=x&connect_timeout=9": (
        f"{PG}?application_name=x&connect_timeout=9"
    ),
    "mysql://u:p@h/d?charset=utf8mb4": f"{MY}?charset=utf8mb4",
    "mysql://u:p@h/d?charset=utf8": f"{MY}?charset=utf8mb4",
    "mysql://u:p@h/d?charset=latin1": f"{MY}?charset=latin1",
}
DROPPED = {
    "mysql://u:p@h/d?reconnect=true": "reconnect",
    "mysql://u:p@h/d?encoding=utf8&pool=5": "encoding, pool",
    "mysql://u:p@h/d?serverVersion=8.0": "serverVersion",
    "mysql://u:p@h/d?connection_limit=3": "connection_limit",
    "postgres://u:p@h/d?schema=public&pgbouncer=true": "pgbouncer, schema",
    "postgres://u:p@h/d?connection_limit=3&pool_timeout=2": "connection_limit, pool_timeout",
    "postgres://u:p@h/d?charset=utf8": "charset",
    "mysql://u:p@h/d?serverTimezone=UTC&loc=Local": "loc, serverTimezone",
    "postgres://u:p@h/d?uselibpqcompat=true&sslmode=require": "uselibpqcompat",
}
AT = "an @ within the password or the database's name to be written as %40"
NO_NAME = "the name of a database at the end: {}://user:password@host/name"
MYSQL = "mysql:// (PyMySQL) or mysql+mysqldb:// (mysqlclient): sessions do not work with {}"
REFUSED = {
    "mysql://u:p@h": NO_NAME.format("mysql"),
    "postgres://u:p@h/": NO_NAME.format("postgresql"),
    "postgres://u:p@ss@h/d": AT,
    "postgres://u:p@ss/word@h/d": AT,
    "mysql://u:p@ss/w?rd@h/d": AT,
    "postgres://u:p@h:99999/d": "a port from 1 to 65535",
    "postgres://u:p@a:1,b:99999/d": "a port from 1 to 65535",
    "postgres:///u:p@h/d": "two slashes before the user: postgresql://user:password@host/name",
    "postgres://u:p%00@h/d": "no %00: a NUL character can't be part of a URL",
    "mysql://u:p@h/d%00x": "no %00: a NUL character can't be part of a URL",
    "postgres://u:p@h /d": "the names or the addresses of hosts",
    "postgres://u:p@,/d": "the names or the addresses of hosts",
    "mysql://u:p@a,b/d": ("the name or the address of a host; MariaDB and MySQL take only one"),
    "postgres://u:p@h/d?sslmode=": "a value for the parameter sslmode",
    "mysql://u:p@h/d?reconnect=true&ssl": "a value for the parameter ssl",
    "jdbc:mysql://h/d?useSSL&user=app@srv&password=x": "a value for the parameter useSSL",
    "sqlite:////x?y.sqlite": "a value for the parameter y.sqlite",
    "sqlite://x.sqlite": (
        "three slashes before a relative path, and four before any other: sqlite:////path/to/file"
    ),
    "sqlite:///file:/x?mode=rx&uri=true": "mode to be one of ro, rw and rwc",
    "sqlite:////x?uri=false&mode=ro": "no parameter mode, which pysqlite does not have",
    f"mysql://u:p@{'h' * 64}/d": "the name or the address of a host",
    "mysql://u:p@h/d\nmysql://u:p@h/d": (
        "a database URL such as sqlite:////path/to/file, in one line and without invisible"
        " characters"
    ),
    **{
        f"mysql://u:p@h/d?charset={charset}": (
            "a charset that MySQL and Python know, or none to use utf8mb4"
        )
        for charset in ("klingon", "binary")
    },
    "mysql://u:p@h/d?read_timeout=0": "read_timeout to be a number of seconds from 1 to 31536000",
    "mysql://u:p@h/d?read_default_file=/nowhere": (
        "read_default_file to be a file that can be read"
    ),
    "postgres://u:p@h/d?charset=latin1": "charset=utf8, since all text is sent in UTF-8",
    "postgres://u:p@h/d?schema=shop": (
        "options=-csearch_path%3D… in place of schema, or session.table for the sessions alone"
    ),
    "mysql://u:p@h/d?connect_timeout=soon": "connect_timeout to be a whole number",
    "postgres://u:p@h/d?connect_timeout=soon": "connect_timeout to be a whole number",
    "mysql://u:p@h/d?ssl_disabled=maybe": "ssl_disabled to be true or false",
    "mysql://u:p@h/d?ssl_disabled=true&ssl-mode=REQUIRED": (
        "TLS to be either requested or disabled, not both"
    ),
    "mysql://u:p@h/d?useSSL=false&sslmode=require": (
        "TLS to be either requested or disabled, not both"
    ),
    "mysql://u:p@h/d?ssl-mode=always": (
        "ssl-mode to be one of disable, prefer, require, verify-ca and verify-full"
    ),
    "postgres://u:p@h/d?sslmode=always": (
        "sslmode to be one of disable, prefer, require, verify-ca and verify-full"
    ),
    "postgres://u:p@h/d?sslaccept=strict": (
        "sslrootcert beside sslmode=verify-full: a file of certificates, or `system`"
    ),
    "postgres://u:p@h/d?sslmode=verify-ca&sslrootcert=/nowhere": (
        "sslrootcert to be a file that can be read"
    ),
    "postgres://u:p@h/d?sslmode=require&sslrootcert=/nowhere": (
        "sslrootcert to be a file that can be read"
    ),
    "mysql://u:p@h/d?ssl_ca=/nowhere": "ssl_ca to be a file that can be read",
    "mysql://u:p@h/d?ssl_key=/etc/passwd": "ssl_cert beside ssl_key",
    "mysql://u:p@h/d?bind_address=192.0.2.1": (
        "bind_address to be an address of this machine (Cannot assign requested address)"
    ),
    "postgres://u:p@h/d?target_session_attrs=writable": (
        "target_session_attrs to be one of any, read-write, read-only, primary, standby,"
        " prefer-standby"
    ),
    "postgres://u:p@h/d?client_encoding=SQL_ASCII": (
        "a client_encoding other than SQL_ASCII; leave it out to use UTF-8"
    ),
    "postgres://u:p@h/d?require_auth=x": (
        'parameters that libpq accepts (invalid require_auth value: "x")'
    ),
    "postgres://u:p@h/d?sslnegotiation=direct": (
        'parameters that libpq accepts (weak sslmode "prefer" may not be used with'
        ' sslnegotiation=direct (use "require", "verify-ca", or "verify-full"))'
    ),
    "postgres://u:p@h/d?aplication_name=x": (
        "no parameter aplication_name, which psycopg does not have; did you mean application_name?"
    ),
    "mysql://u:p@h/d?autocommit=true": "no parameter autocommit, which pymysql does not have",
    "mysql://u:p@h/d?charset=utf8&charset=utf8mb4": "charset only once",
    "sqlite:////x?check_same_thread=true": (
        "no parameter check_same_thread, which pysqlite does not have"
    ),
    "postgresql+psycopg2://u:p@h/d": (
        "postgresql:// (psycopg 3): sessions do not work with psycopg2"
    ),
    **{
        f"postgresql+{driver}://u:p@h/d": (
            f"postgresql:// (psycopg 3): sessions do not work with {driver}"
        )
        for driver in ("psycopg_async", "asyncpg", "pg8000")
    },
    **{
        f"mysql+{driver}://u:p@h/d": MYSQL.format(driver)
        for driver in ("cymysql", "aiomysql", "asyncmy", "mysqlconnector", "mariadbconnector")
    },
    "sqlite+aiosqlite:////x": "sqlite:////path/to/file: sessions do not work with aiosqlite",
    "sqlite+pysqlcipher:////x": ("sqlite:////path/to/file: sessions do not work with pysqlcipher"),
    "postgresql+psycopg3://u:p@h/d": "postgresql:// (psycopg 3): there is no driver psycopg3",
    "mysql+mysqlclient://u:p@h/d": (
        "mysql:// (PyMySQL) or mysql+mysqldb:// (mysqlclient): there is no driver mysqlclient"
    ),
    "cockroachdb://u:p@h/d": "SQLite, PostgreSQL, MariaDB or MySQL: cockroachdb is not supported",
    "oracle://u:p@h/d": "SQLite, PostgreSQL, MariaDB or MySQL: oracle is not supported",
}


@pytest.fixture(autouse=True)
def _no_roots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have certificates for libpq."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(("text", "meaning"), UNDERSTOOD.items())
def test_a_url_is_understood(text: str, meaning: str) -> None:
    """C2: the spellings of other drivers mean ours, and none of their demands is lost."""
    assert str(parse_url(text)) == str(parse_url(str(parse_url(text))))
    assert parse_url(text).render_as_string() == meaning


@pytest.mark.parametrize(("text", "names"), DROPPED.items())
def test_what_means_nothing_here_is_dropped_with_a_line(
    text: str, names: str, caplog: pytest.LogCaptureFixture
) -> None:
    """C2: one, however often the URL is read."""
    from myapp import database_url

    database_url._tell.cache_clear()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert not set(parse_url(text).query) & set(names.split(", "))
    (line,) = caplog.messages
    assert line.endswith(f"are ignored: {names}")


@pytest.mark.parametrize(("text", "expected"), REFUSED.items())
@pytest.mark.parametrize("key", ["sqlalchemy.url", "session.url"])
def test_another_url_is_one_line(
    text: str, expected: str, key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """C2, C3: with the setting, its source and what to write, and no password."""
    settings = {"sqlalchemy.url": f"sqlite:///{tmp_path}/x.sqlite", key: text}
    with pytest.raises(SystemExit) as caught:
        myapp.main({"__file__": "some.ini"}, **settings)
    line = str(caught.value.code)
    assert line.startswith(f"myapp: {key} = ")
    assert line.endswith(f"(from [app:main] of some.ini): expected {expected}")
    assert "\n" not in line
    assert ":p@" not in line
    assert "ss@" not in line.replace("***@", "")


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """C: with the extra that installs it."""
    monkeypatch.setitem(sys.modules, "MySQLdb", None)
    with pytest.raises(Expected, match=r"myapp\[mysqlclient\], or write mysql://"):
        parse_url("mysql+mysqldb://u:p@h/d")


@pytest.mark.parametrize("key", ["sqlalchemy.url", "session.url"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("none/x.sqlite", "a file in an existing folder; {0}/none does not exist"),
        ("folder", "a file, not a folder"),
        ("pipe", "a file, not a device, a pipe or a socket"),
        ("x" * 300, "a file that this user may open, or may create (File name too long)"),
        ("x" * 300 + "/x", "a file that this user may open, or may create (File name too long)"),
        ("nowhere", "a file in an existing folder; {0}/none does not exist"),
        (
            "loop",
            "a file that this user may open, or may create (Too many levels of symbolic links)",
        ),
    ],
)
def test_a_file_that_can_not_be_made_is_one_line(
    tmp_path: Path, key: str, path: str, expected: str
) -> None:
    """C2: no server starts and answers 503 for good."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "none" / "x.sqlite")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    url = f"sqlite:///{tmp_path}/{path}"
    settings = {"sqlalchemy.url": f"sqlite:///{tmp_path}/x.sqlite", key: url}
    with pytest.raises(SystemExit) as caught:
        myapp.main({"__file__": "some.ini"}, **settings)
    line = str(caught.value.code)
    assert line.startswith(f"myapp: {key} = sqlite:///{tmp_path}/")
    assert line.endswith(f"(from [app:main] of some.ini): expected {expected.format(tmp_path)}")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("x.sqlite?mode=rw&", "a file that exists, or a URL without mode, which creates it"),
        ("none/x.sqlite?", "a file in an existing folder; {0}/none does not exist"),
    ],
)
def test_a_uri_that_sqlite_can_not_open_is_one_line(
    tmp_path: Path, path: str, expected: str
) -> None:
    """C2: whatever SQLite itself reads of it."""
    url = f"sqlite:///file:{tmp_path}/{path}uri=true"
    settings = {"sqlalchemy.url": f"sqlite:///{tmp_path}/y.sqlite", "session.url": url}
    with pytest.raises(SystemExit) as caught:
        myapp.main({"__file__": "some.ini"}, **settings, **NEEDED)
    assert str(caught.value.code).endswith(f"expected {expected.format(tmp_path)}")


def test_alembic_without_the_right_to_write_is_one_line(tmp_path: Path) -> None:
    """C2: with the setting, its source and the reason."""
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as connection:
        connection.execute("CREATE TABLE x (x)")
    line = alembic_says(f"sqlite:///file:{tmp_path}/x.sqlite?mode=ro&uri=true")
    assert "expected a database that takes changes (OperationalError: attempt to write" in line


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:geheim@127.0.0.1:1/d", "expected a database that answers: Operational"),
        ("mysql://u:geheim@127.0.0.1:1/d", "expected a database that answers: Operational"),
        ("sqlite:////nowhere/x.sqlite", "expected a file in an existing folder; /nowhere"),
    ],
)
def test_alembic_without_a_database_is_one_line(url: str, words: str) -> None:
    """C2: with the setting, its source and the reason."""
    line = alembic_says(url)
    assert f"(from environment variable DATABASE_URL): {words}" in line
    assert "geheim" not in line


def alembic_says(url: str) -> str:
    """The one line with which it refuses a database."""
    done = subprocess.run(
        [Path(sys.executable).with_name("alembic"), "upgrade", "head"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=clean_environment({"DATABASE_URL": url, "MYAPP_INI": ""}),
        check=False,
    )
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert done.returncode != 0
    assert line.startswith("FAILED: sqlalchemy.url = ")
    return line


@pytest.mark.parametrize("source", ["environment", "ini"])
def test_blanks_around_a_value_do_not_count(source: str, tmp_path: Path) -> None:
    """C2: a newline comes from a file that was read into a variable."""
    url = f" sqlite:///{tmp_path}/x.sqlite\n"
    settings: dict[str, Any] = {"sqlalchemy.url": url} if source == "ini" else {}
    environ = {"DATABASE_URL": url} if source == "environment" else {}
    environ["DATABASE_MIGRATE_ON_START"] = " true\n"
    found = read_application_settings(settings, environ)
    assert (found.url, found.migrate_on_start) == (url.strip(), True)
