"""What a database URL means: which database, by which driver, and with which parameters.

Hosts hand out URLs that were made for the drivers of other languages. Each part is understood,
translated, or refused in one line at the start: what no driver understands would fail at each
connect, and what demands security is never dropped.
"""

from __future__ import annotations

import logging
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from myapp.mysql_connector import Connector
from myapp.pooler import read_threshold
from myapp.setting_table import Expected
from myapp.url_parameters import understood

log = logging.getLogger(__name__)

# What people write, and what hosting services hand out, for the drivers that we install.
_DRIVERS: Final = {
    **dict.fromkeys(("postgres", "postgresql", "pgsql"), "postgresql+psycopg"),
    **dict.fromkeys(("mysql", "mysql2", "mysqli"), "mysql+pymysql"),
    "mariadb": "mariadb+pymysql",
    "sqlite3": "sqlite",
}
_TRIED: Final = {
    "sqlite": ("pysqlite",),
    "postgresql": ("psycopg",),
    "mysql": ("pymysql", "mysqldb"),
    "mariadb": ("pymysql", "mysqldb"),
}
"""The databases and the drivers with which sessions work."""

_HOSTS: Final = re.compile(
    r"(postgres[\w+]*://(?:[^/]*@)?)([^/?@,]*(?:,[^/?@,]*)+)(/[^?]*)?(\?.*)?", re.DOTALL
)
"""The URL of several servers, as libpq has it."""

_SPELLINGS: Final = {
    "sqlite": "sqlite:////path/to/file",
    "postgresql": "postgresql:// (psycopg 3)",
    "mysql": "mysql:// (PyMySQL) or mysql+mysqldb:// (mysqlclient)",
    "mariadb": "mariadb:// (PyMySQL) or mariadb+mysqldb:// (mysqlclient)",
}
A_URL: Final = "a database URL such as sqlite:////path/to/file"
"""What is expected where there is no URL at all."""
_MYSQLCLIENT: Final = (
    "an installed driver; mysqlclient is not: install myapp[mysqlclient], or write"
    " {0}:// to use PyMySQL"
)


def parse_url(text: str) -> URL:
    """A database URL with its driver. Raises Expected, a ValueError, which never holds the URL.

    Parameters that mean nothing here are dropped, with a line in the log for each process.
    """
    bare = _bare(text)
    if not bare.isprintable():
        raise Expected(f"{A_URL}, in one line")
    try:
        url = make_url(bare)
    except (ArgumentError, ValueError):
        raise Expected(A_URL) from None
    url = _with_driver(url)
    if url.get_backend_name() == "sqlite":
        _refuse_in_memory(url)
    else:
        _refuse_bare_at(bare, url)
        url = _server(url)
    url, dropped = understood(url)
    if dropped:
        _tell(url.get_backend_name(), dropped)
    _refuse_unusable(url)
    return url


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite database; None for a server, and for a URI, which SQLite reads."""
    if url.get_backend_name() != "sqlite" or "uri" in url.query:
        return None
    return Path(url.database or "").absolute()


def refused_folder(url: URL) -> str | None:
    """What is expected where a SQLite file can't be made or opened; None where it can."""
    file = sqlite_file(url)
    if file is None:
        return None
    if not file.parent.is_dir():
        return f"a file in an existing folder; {file.parent} does not exist"
    if file.is_dir():
        return "a file, not a folder"
    if not os.access(file if file.exists() else file.parent, os.R_OK if file.exists() else os.W_OK):
        return f"a file that this user may open, or may create in {file.parent}"
    return None


def _bare(text: str) -> str:
    """The URL without what people copy along with it."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1].strip()
    return _HOSTS.sub(_as_parameters, text.removeprefix("jdbc:"))


def _as_parameters(url: re.Match[str]) -> str:
    """Several hosts as SQLAlchemy writes them: `?host=a:5432&host=b:5432`."""
    head, hosts, path, query = url.groups(default="")
    parameters = [f"host={host}" for host in hosts.split(",")]
    return f"{head}{path}?{'&'.join([*parameters, *query.removeprefix('?').split('&')])}".rstrip(
        "&"
    )


def _with_driver(url: URL) -> URL:
    """The URL with one of our drivers. Raises Expected for any other, with the right spelling."""
    name, plus, driver = url.drivername.partition("+")
    backend = _DRIVERS.get(name, name).partition("+")[0]
    url = url.set(drivername=f"{backend}+{driver}" if plus else _DRIVERS.get(name, name))
    try:
        known = url.get_dialect().name
    except NoSuchModuleError:
        raise Expected("a database and a driver that SQLAlchemy knows") from None
    if backend not in _TRIED:
        raise Expected(f"SQLite, PostgreSQL, MariaDB or MySQL: {known} is not supported")
    if plus and driver not in _TRIED[backend]:
        raise Expected(f"{_SPELLINGS[backend]}: sessions do not work with {driver}")
    return url


def _server(url: URL) -> URL:
    """The URL of a database that has a server. Raises Expected."""
    url = _with_user(_with_socket(url))
    _refuse_host(url)
    if url.port is not None and not 0 < url.port < 65536:
        raise Expected("a port from 1 to 65535")
    url = url.set(database=(url.database or "").rstrip("/"))
    elsewhere = ("dbname", "service", "read_default_file")
    if not url.database and not any(name in url.query for name in elsewhere):
        backend = url.get_backend_name()
        raise Expected(f"the name of a database at the end: {backend}://user:password@host/name")
    return url


def _refuse_bare_at(text: str, url: URL) -> None:
    """Raise Expected for a second @ before the parameters or in the name of one.

    What follows the first would be taken for the host, and shown as one that can't be reached.
    """
    # A password may hold a question mark, too.
    parameters = text.partition(f"/{url.database or ''}?")[2].split("&")
    names = [parameter.partition("=")[0] for parameter in parameters]
    if any("@" in part for part in (url.host or "", url.database or "", *names)):
        raise Expected("an @ within the password to be written as %40")


def _refuse_host(url: URL) -> None:
    """Raise Expected for a host that can't be meant."""
    host = url.host or ""
    if url.get_backend_name() != "postgresql":
        try:
            # Python looks it up, and says no more of it than this.
            host.encode("idna")
        except UnicodeError:
            raise Expected("the name or the address of a host") from None


def _with_user(url: URL) -> URL:
    """As Java writes it, user and password are parameters."""
    user, password = url.query.get("user"), url.query.get("password")
    if isinstance(user, str):
        url = url.set(username=user)
    if isinstance(password, str):
        url = url.set(password=password)
    return url.difference_update_query(["user", "password"])


def _with_socket(url: URL) -> URL:
    """A socket's path, which libpq's URLs have in place of the host, becomes a parameter."""
    host = unquote(url.host or "")
    names = {"socket", "unix_socket"} & url.query.keys()
    path = host if host.startswith("/") else next((url.query[name] for name in names), None)
    if path is None:
        return url
    name = "host" if url.get_backend_name() == "postgresql" else "unix_socket"
    bare = url._replace(host=None) if host.startswith("/") else url
    return bare.difference_update_query(names).update_query_dict({name: path})


@lru_cache(maxsize=32)
def _tell(backend: str, dropped: tuple[str, ...]) -> None:
    """Said once, however often a process reads the URL."""
    words = ", ".join(dropped)
    log.info(
        "these parameters of the %s URL have no effect here and are ignored: %s", backend, words
    )


def _refuse_unusable(url: URL) -> None:
    """Raise Expected for what SQLAlchemy can't make an engine of; nothing is connected."""
    try:
        create_engine(url)
    except ImportError as error:
        if error.name == "MySQLdb":
            raise Expected(_MYSQLCLIENT.format(url.get_backend_name())) from None
        raise Expected(f"an installed driver; {error.name} is not installed") from None
    except (ArgumentError, ValueError):
        raise Expected("a host and options that this database can use") from None
    if url.get_backend_name() in ("mysql", "mariadb"):
        Connector(url)
    read_threshold(url)


def _refuse_in_memory(url: URL) -> None:
    """Raise Expected for a SQLite database that is not a file, or is private to a connection."""
    # Unquoted once as a URL, and once more as the URI that it may hold: "file:…?uri=true".
    text = unquote(unquote(str(url)))
    words = (":memory:", "mode=memory", "vfs=memdb")
    path = (url.database or "").partition("?")[0].rstrip("/")
    if path in ("", "file:") or any(word in text for word in words):
        # Two engines, or two connections, would see two databases.
        raise Expected("a file, not in-memory SQLite: sqlite:////path/to/file")
