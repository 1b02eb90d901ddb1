"""Engines for SQLite, PostgreSQL and MariaDB/MySQL, each with the settings that it needs.

The application's engine and the sessions' engine are created here, so that a URL means the same
driver everywhere.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext

from myapp.database_url import A_URL, parse_url
from myapp.mysql_connector import Connector as MySQLConnector
from myapp.pooler import AUTO, POOLER_SETTING, is_stale
from myapp.private_file import make_private
from myapp.setting_table import Given, Setting, read_setting

# 1020 is a row that changed after the transaction's snapshot, 1205 a lock wait timeout, 1213 a
# deadlock or a lost race between nodes.
_MYSQL_CODES: Final = (1020, 1205, 1213)
_MYSQL_NOT_THERE: Final = 1305
_SQLITE_BUSY: Final = 5

# A key that is there already: of PostgreSQL, of MariaDB and MySQL, of SQLite (primary, unique).
_DUPLICATE: Final = frozenset({"23505", 1062, 1555, 2067})

# A server that takes no writes, such as a standby: of PostgreSQL, and of MariaDB and MySQL.
_READ_ONLY: Final = frozenset({"25006", 1290, 1792, 1836})
_SQLITE_READONLY: Final = 8


# The database answers, and says no: the user, the password, the name of the database or a right is
# wrong. libpq gives no code for what goes wrong at a connect, so its words have to do there; those
# of a server that speaks another language are taken for an outage.
_REFUSALS: Final = frozenset(
    {"28000", "28P01", "3D000", "3F000", "42501"}
    | {1044, 1045, 1049, 1130, 1142, 1143, 1251, 1698, 1820, 1862, 2059, 3118, 3159, 4151}
)
# What MariaDB and MySQL say of the statements that the URL makes a connection begin with: a syntax
# error, a variable or a value that does not exist, a charset, a collation.
_REFUSED_BEGINNINGS: Final = frozenset({1064, 1115, 1193, 1229, 1231, 1232, 1253, 1273})
_REFUSALS_IN_WORDS: Final = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|SASL|not permitted to log in"
    r"|(?:database|role) \".*\" does not exist|no such (?:database|user)"
    r"|permission denied for|not currently accepting connections"
    r"|(?i:(?:bad|client|issuer|peer|self[- ]signed|server|SSL) certificate)"
    r"|(?i:certificate (?:chain|expired|file|required|revoked|unknown|verify failed))"
    r"|private key file|Hostname verification failed"
    r"|server does not support SSL|SSL (?:connection )?is required|the server offers no TLS"
    r"|channel binding (?:is )?required|authentication method requirement"
    r"|invalid value for parameter|unrecognized configuration parameter"
    r"|invalid command-line argument|definition of service"
    # psycopg, of an encoding that PostgreSQL has and Python lacks.
    r"|codec not available in Python"
)
# Not a database, and a damaged one.
_SQLITE_REFUSALS: Final = (11, 26)


def _checked_url(text: str) -> str:
    parse_url(text)
    return text


URL_SETTING: Final = Setting(
    "sqlalchemy.url",
    "",
    _checked_url,
    A_URL,
    "The URL of the database: sqlite:////path/to/file.sqlite,"
    " postgresql://user:password@host/database or mysql://user:password@host/database. Its"
    " environment variable is DATABASE_URL.",
    "Set it for any database other than the SQLite file in both ini files. `postgres://`,"
    " `postgresql://`, `mysql://` and `mariadb://` use the drivers that are installed with myapp.",
    required=True,
)


def read_url(settings: Mapping[str, Any], environ: Mapping[str, str]) -> Given:
    """The setting `sqlalchemy.url`, for callers that can do without it; None if it is not set.

    Sessions can, if they have their own database. Raises SettingError.
    """
    return read_setting(replace(URL_SETTING, required=False), settings, environ)


def read_pooler(settings: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """The setting `session.pooler`, for the application's own engine. Raises SettingError."""
    pooler: str = read_setting(POOLER_SETTING, settings, environ, "session.").value
    return pooler


def create_database_engine(
    url: str | URL,
    *,
    connect_timeout: int = 10_000,
    statement_timeout: int | None = None,
    pooler: str = AUTO,
    for_sessions: bool = False,
    **options: Any,
) -> Engine:
    """An engine for a URL as `parse_url` takes it; timeouts in milliseconds, `pooler` as in
    POOLER_SETTING.

    `for_sessions`: text is sent as Unicode and MariaDB uses its standard SQL mode, regardless of
    the URL and the server, because sessions don't depend on the application's choice. `options` are
    passed to SQLAlchemy's create_engine.
    """
    parsed = parse_url(url) if isinstance(url, str) else url
    settle = _SETTLE.get(parsed.get_backend_name())
    arguments = settle(parsed, connect_timeout, statement_timeout) if settle else {}
    # Parameters of the URL override the rest.
    arguments = {key: value for key, value in arguments.items() if key not in parsed.query}
    if for_sessions:
        _speak_plainly(parsed, arguments)
    engine = create_engine(parsed, connect_args=arguments, hide_parameters=True, **options)
    event.listen(engine, "handle_error", _distrust)
    if engine.dialect.driver == "psycopg":
        # Imported where it is needed: an application on SQLite loads no PostgreSQL driver.
        from myapp.bounded_psycopg import Connector

        event.listen(engine, "do_connect", Connector(parsed, pooler, statement_timeout))
    if engine.dialect.name in ("mysql", "mariadb"):
        event.listen(engine, "do_connect", MySQLConnector(parsed))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "do_connect", make_private)
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _sqlite(url: URL, connect_timeout: int, statement_timeout: int | None) -> dict[str, Any]:
    # How long a statement waits for another connection's lock.
    return {"timeout": (statement_timeout or 5000) / 1000}


def _postgresql(url: URL, connect_timeout: int, statement_timeout: int | None) -> dict[str, Any]:
    limits = {
        # libpq counts whole seconds and takes no less than two.
        "connect_timeout": max(2, -(-connect_timeout // 1000)),
        # Of a database in SQL_ASCII the driver would make bytes.
        "client_encoding": "utf8",
    }
    if statement_timeout is None:
        return limits
    # libpq ignores PGOPTIONS if it is given options. The last option counts.
    given = os.environ.get("PGOPTIONS", "")
    return limits | {
        "options": f"-c statement_timeout={statement_timeout} {given}".strip(),
        # A server that vanished without a word is noticed by TCP, which the statement's limit,
        # kept by the server, can't do.
        "tcp_user_timeout": statement_timeout + connect_timeout,
    }


def _mysql(url: URL, connect_timeout: int, statement_timeout: int | None) -> dict[str, Any]:
    limits: dict[str, Any] = {"connect_timeout": max(1, -(-connect_timeout // 1000))}
    if statement_timeout is None:
        return limits
    # A client that hangs up does not end its statement: the server must give up as well, and
    # first, so that the connection stays and nobody wonders whether the write was done.
    patience = f"SET SESSION innodb_lock_wait_timeout = {max(1, statement_timeout // 1000)}"
    seconds: float = (statement_timeout + 1000) / 1000
    if url.get_driver_name() == "mysqldb":
        # mysqlclient counts whole seconds.
        seconds = math.ceil(seconds)
    return limits | {"read_timeout": seconds, "write_timeout": seconds, "init_command": patience}


def _speak_plainly(url: URL, arguments: dict[str, Any]) -> None:
    """Ask for Unicode and the standard SQL mode, regardless of the URL and the server."""
    if url.get_backend_name() == "postgresql":
        arguments["client_encoding"] = "utf8"
    if url.get_backend_name() not in ("mysql", "mariadb"):
        return
    arguments["charset"] = "utf8mb4"
    if "collation" in url.query:
        # It belongs to the URL's charset.
        arguments["collation"] = None
    # In Oracle mode, BEGIN starts a block, and an empty text may be NULL. The application may have
    # turned off the strict mode, without which text is truncated.
    if "init_command" in arguments:
        arguments["init_command"] += f", sql_mode = '{_SQL_MODE}'"
    else:
        arguments["sql_mode"] = _SQL_MODE


_SQL_MODE: Final = "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"

_SETTLE: Final = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
}


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    """Let readers and one writer work side by side; a commit survives the process's death."""
    # Another connection may just be switching, or the file may be read-only: the mode is the
    # file's, and whoever can will set it.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    # 16 MB instead of 2: with a million sessions, those in use are read 1.3 times as slowly as with
    # ten thousand, not 1.5 times. It is taken as pages are read, and not before.
    connection.execute("PRAGMA cache_size=-16000")
    connection.execute("PRAGMA foreign_keys=ON")


def _distrust(context: ExceptionContext) -> None:
    """Treat a connection that can't write, or whose prepared statements are stale, as lost, and
    with it all others in the pool.

    By now, another server may be the primary, or a table was altered; the pool would keep its
    connections until the process ends.
    """
    error = context.original_exception
    # Not every error here is the driver's: a value may have refused to become a parameter.
    if isinstance(error, context.dialect.loaded_dbapi.Error):
        context.is_disconnect |= is_read_only(error) or is_stale(error)


def is_read_only(error: BaseException) -> bool:
    """Whether a driver's error says that nothing can be written on this connection."""
    codes = {getattr(error, "sqlstate", None), *error.args[:1]}
    sqlite_code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return bool(codes & _READ_ONLY) or sqlite_code == _SQLITE_READONLY


def is_lost_race(error: BaseException) -> bool:
    """Whether a driver's error is a lost race: a conflict, a deadlock or a lock not obtained, or a
    table that was altered since the statement was prepared. Nothing was done.
    """
    sqlstate = getattr(error, "sqlstate", None) or ""
    # SQLite keeps the primary code in the low byte and the details above it.
    sqlite_code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    mysql_code = error.args[0] if error.args else None
    raced = sqlstate.startswith("40") or is_stale(error) or _lacks_savepoint(error)
    return raced or sqlite_code == _SQLITE_BUSY or mysql_code in _MYSQL_CODES


def is_duplicate(error: BaseException) -> bool:
    """Whether a driver's error says that a key is there already."""
    codes = {getattr(error, name, None) for name in ("sqlstate", "sqlite_errorcode")}
    return bool({*codes, *error.args[:1]} & _DUPLICATE)


def _lacks_savepoint(error: BaseException) -> bool:
    """Whether MariaDB or MySQL can't go back to a savepoint, since a deadlock has undone all."""
    return error.args[:1] == (_MYSQL_NOT_THERE,) and "SAVEPOINT" in str(error.args[1:])


def refusal_of(error: BaseException) -> str | None:
    """What is expected if a database refuses us permanently; None for what may be an outage."""
    is_connecting = getattr(error, "statement", None) is None
    refusals = _REFUSALS | (_REFUSED_BEGINNINGS if is_connecting else frozenset())
    for each in _chain(error):
        codes = {getattr(each, "sqlstate", None), *each.args[:1]}
        sqlite_code = getattr(each, "sqlite_errorcode", 0) & 0xFF
        # A driver that tried several addresses gives each a line.
        said_so = str(each).splitlines() if is_connecting else ()
        lines = [line for line in said_so if _REFUSALS_IN_WORDS.search(line)]
        if lines or codes & refusals or sqlite_code in _SQLITE_REFUSALS:
            said = lines[0].strip() if lines else str(each).partition("\n")[0]
            return f"a database that this user may use ({type(each).__name__}: {said})"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The errors of the driver that an error stands for."""
    at: BaseException | None = error
    while at is not None:
        original: Any = getattr(at, "orig", None) or at
        if isinstance(original, _base_of(original)):
            yield original
        at = _before(at)


def _before(error: BaseException) -> BaseException | None:
    """The cause of this error, or the error that was being handled when it was raised."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _base_of(error: BaseException) -> tuple[type[BaseException], ...]:
    """The base class of its driver's errors; empty if it is not a driver's error."""
    # Each driver has classes of its own, below this name of the standard's.
    return tuple(kind for kind in type(error).__mro__ if kind.__name__ == "DatabaseError")


def reason_of(error: BaseException) -> str:
    """A driver's message in one line, without the statement and its parameters.

    SQLAlchemy rolls back a new connection whose first questions failed. If that fails as well,
    since the server has closed it by now, the first failure is the one that counts.
    """
    original = getattr(error, "orig", None) or error
    while original.__cause__ is None and isinstance(original.__context__, _base_of(original)):
        original = original.__context__
    return f"{type(original).__name__}: {str(original).strip().partition(chr(10))[0]}"
