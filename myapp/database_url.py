"""What a database URL means: which database, by which driver, and with which parameters.

Hosts hand out URLs that were made for the drivers of other languages. Each part is understood,
translated, or refused in one line at the start: what no driver understands would fail at each
connect, and what demands security is never dropped.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from myapp.environment import printable
from myapp.mysql_connector import Connector
from myapp.pooler import read_threshold
from myapp.setting_table import Expected
from myapp.url_parameters import is_harmless, understood

log = logging.getLogger(__name__)

# What people write, and what hosting services hand out, for the drivers that we install.
_DRIVERS: Final = {
    **dict.fromkeys(("postgres", "postgresql", "pgsql", "postgis"), "postgresql+psycopg"),
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

_HOST: Final = r"\[?([^/?@,\[\]]*?)\]?(?::(\d*))?"
_POSTGRESQL: Final = r"((?:postgres|pgsql|postgis)[\w+]*://"
_SEVERAL: Final = tuple(
    re.compile(rf"{_POSTGRESQL}{user})({hosts}(?:,{hosts})+)(/[^?]*)?(?:\?(.*))?", re.DOTALL)
    for user, hosts in (
        # Without a user: each is the name or the address of a host.
        ("", r"(?:\[[\w:.%]+\]|[\w.-]+)(?::\d+)?"),
        ("(?>(?:[^:/]*(?::[^@]*)?@)?)", "[^/?@,]+"),
    )
)
"""The URLs of several servers, as libpq has them; user and password may hold commas, too."""
_SCHEME: Final = re.compile(r"(?:jdbc:)?[\w+]+:", re.IGNORECASE)
_NO_HOST: Final = re.compile(r"[\s,]")

_NO_SOCKET: Final = "/dev/null"
"""In place of a host: no folder, and so no server's socket is ever in it."""

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
        raise Expected(f"{A_URL}, in one line and without invisible characters")
    try:
        url = make_url(bare)
    except (ArgumentError, ValueError):
        raise Expected(A_URL) from None
    url = _with_driver(url)
    if url.get_backend_name() == "sqlite":
        _refuse_lost(bare, url)
        _refuse_two_slashes(url)
        _refuse_in_memory(url)
    else:
        # First, since what follows may quote a part of the password otherwise.
        _refuse_bare_at(bare, url)
        _refuse_lost(bare, url)
        url = _server(url)
    url, dropped = understood(url)
    if dropped:
        _tell(url.get_backend_name(), dropped)
    _refuse_unusable(url)
    return url


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite database; None for a server."""
    if url.get_backend_name() != "sqlite":
        return None
    path = url.database or ""
    if "uri" in url.query and path.startswith("file:"):
        # As SQLite reads it: the host, if there is one, is this machine.
        path = unquote(re.sub(r"^file:(//[^/]*)?", "", path).partition("#")[0])
    return Path(path).absolute()


def refused_folder(url: URL) -> str | None:
    """What is expected where a SQLite file can't be made or opened; None where it can.

    One that can only be read is opened: what it holds is served.
    """
    file = sqlite_file(url)
    if file is None:
        return None
    mode = url.query.get("mode") if "uri" in url.query else None
    try:
        return _refused_file(file, must_exist=mode in ("ro", "rw"))
    except (OSError, ValueError) as error:
        # Such as a folder that this user may not look into, or a name that is too long.
        reason = getattr(error, "strerror", None) or error
        return f"a file that this user may open, or may create ({reason})"


def _refused_file(file: Path, *, must_exist: bool) -> str | None:
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return _refused_new_file(file, must_exist=must_exist)
    if stat.S_ISDIR(mode):
        return "a file, not a folder"
    if not stat.S_ISREG(mode):
        return "a file, not a device, a pipe or a socket"
    if not os.access(file, os.R_OK):
        return f"a file that this user may open, or may create in {file.parent}"
    return None


def _refused_new_file(file: Path, *, must_exist: bool) -> str | None:
    # A link may lead nowhere yet; the file is made where it leads.
    folder = file.resolve().parent if file.is_symlink() else file.parent
    if not folder.is_dir():
        return f"a file in an existing folder; {folder} {_what_is(folder)}"
    if must_exist:
        return "a file that exists, or a URL without mode, which creates it"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"a file that this user may open, or may create in {folder}"
    return None


def _what_is(folder: Path) -> str:
    return "is not a folder" if folder.exists() else "does not exist"


def _bare(text: str) -> str:
    """The URL without what people copy along with it."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1].strip()
    text = _SCHEME.sub(lambda scheme: scheme[0].lower(), text, count=1).removeprefix("jdbc:")
    several = next(filter(None, (each.fullmatch(text) for each in _SEVERAL)), None)
    return text if several is None else _as_parameters(*several.groups(default=""))


def _as_parameters(head: str, hosts: str, path: str, query: str) -> str:
    """Several hosts as SQLAlchemy writes them: `?host=a,b&port=5432,5433`."""
    found = re.findall(rf"(?:^|,){_HOST}(?=,|$)", hosts)
    names, ports = zip(*found, strict=True)
    parameters = [f"host={','.join(names)}", *([f"port={','.join(ports)}"] if any(ports) else [])]
    return f"{head}{path}?{'&'.join([*parameters, *([query] if query else [])])}"


def _refuse_lost(text: str, url: URL) -> None:
    """Raise Expected for what would be dropped without a word on the way to the database."""
    for name, _, value in (each.partition("=") for each in _as_written(text, url)[1]):
        # `?ssl` demands TLS elsewhere, and `?sslmode=` may be a variable that is not set.
        if name and not value and not is_harmless(name):
            raise Expected(f"a value for the parameter {printable(name)}")
    if "%00" in text:
        # C takes it for the end, and libpq then knows neither the port nor anything after it.
        raise Expected("no %00: a NUL character can't be part of a URL")


def _as_written(text: str, url: URL) -> tuple[str, list[str]]:
    """The host with the database, and the parameters. A password may hold a question mark, too."""
    rest = text.partition("://")[2]
    if url.username is not None:
        rest = rest.partition("@")[2]
    place, _, parameters = rest.partition("?")
    return place, parameters.split("&")


def _with_driver(url: URL) -> URL:
    """The URL with one of our drivers. Raises Expected for any other, with the right spelling."""
    name, plus, driver = url.drivername.partition("+")
    backend = _DRIVERS.get(name, name).partition("+")[0]
    url = url.set(drivername=f"{backend}+{driver}" if plus else _DRIVERS.get(name, name))
    if backend not in _TRIED:
        raise Expected(f"SQLite, PostgreSQL, MariaDB or MySQL: {name} is not supported")
    try:
        url.get_dialect()
    except NoSuchModuleError:
        raise Expected(f"{_SPELLINGS[backend]}: there is no driver {driver}") from None
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
    place, parameters = _as_written(text, url)
    names = [parameter.partition("=")[0] for parameter in parameters]
    if url.host and any("@" in part for part in (place, *names)):
        raise Expected("an @ within the password or the database's name to be written as %40")


def _refuse_host(url: URL) -> None:
    """Raise Expected for a host that can't be meant."""
    host = url.host or ""
    if not host and "host" not in url.query and "@" in (url.database or ""):
        backend = url.get_backend_name()
        raise Expected(f"two slashes before the user: {backend}://user:password@host/name")
    if _NO_HOST.search(host) or not host.isprintable():
        raise Expected(
            "the name or the address of a host; MariaDB and MySQL take only one"
            if url.get_backend_name() != "postgresql"
            else "the names or the addresses of hosts"
        )
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
        engine = create_engine(url)
    except ImportError as error:
        if error.name == "MySQLdb":
            raise Expected(_MYSQLCLIENT.format(url.get_backend_name())) from None
        raise Expected(f"an installed driver; {error.name} is not installed") from None
    except (ArgumentError, ValueError):
        raise Expected("a host and options that this database can use") from None
    if url.get_backend_name() in ("mysql", "mariadb"):
        Connector(url)
    read_threshold(url)
    if url.get_backend_name() == "postgresql":
        _ask_libpq(engine)


def _ask_libpq(engine: Engine) -> None:
    """Raise Expected for what libpq takes for no parameters; nothing is connected.

    It reads them at each connect, so that such a mistake would look like a server that is down.
    """
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    _, given = engine.dialect.create_connect_args(engine.url)
    if given.get("service") or os.environ.get("PGSERVICE"):
        # Only the service's file knows how many hosts and ports there are.
        return
    addresses = given.get("hostaddr") or os.environ.get("PGHOSTADDR")
    hosts = str(addresses or given.get("host") or os.environ.get("PGHOST") or "").split(",")
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    asked = {name: value for name, value in given.items() if name in known} | {
        "host": ",".join(_NO_SOCKET for _ in hosts),
        "hostaddr": "",
        # Or it would look into the file of passwords, and complain of its mode.
        "password": "none",
        # Which no socket has.
        "gssencmode": "disable",
    }
    connection = pq.PGconn.connect_start(make_conninfo(**asked).encode())
    said = connection.get_error_message()
    is_bad = connection.status == pq.ConnStatus.BAD
    connection.finish()
    if is_bad and _NO_SOCKET not in said:
        variables = (
            " and PG… variables" if any(name.startswith("PG") for name in os.environ) else ""
        )
        reason = said.strip().partition("\n")[0]
        raise Expected(f"parameters{variables} that libpq accepts ({reason})")


def _refuse_two_slashes(url: URL) -> None:
    """Raise Expected for a SQLite URL that begins like a server's."""
    if url.host or url.username:
        raise Expected(
            "three slashes before a relative path, and four before any other:"
            " sqlite:////path/to/file"
        )


def _refuse_in_memory(url: URL) -> None:
    """Raise Expected for a SQLite database that is not a file, or is private to a connection."""
    # Unquoted once as a URL, and once more as the URI that it may hold: "file:…?uri=true".
    text = unquote(unquote(str(url)))
    words = (":memory:", "mode=memory", "vfs=memdb")
    path = (url.database or "").partition("?")[0].rstrip("/")
    if path in ("", "file:") or any(word in text for word in words):
        # Two engines, or two connections, would see two databases.
        raise Expected("a file, not in-memory SQLite: sqlite:////path/to/file")
