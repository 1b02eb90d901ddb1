"""The parameters of a database URL: the driver's own, other drivers' names for them, and the rest.

Whatever concerns TLS is translated to the driver's words, and where it can't be, refused.
"""

from __future__ import annotations

import codecs
import difflib
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sqlalchemy import URL

from myapp.environment import parse_bool, printable
from myapp.setting_table import Expected

SSL_MODE: Final = "ssl_mode"
"""The parameter of a MariaDB or MySQL URL that says how TLS is used, and its values in order."""
SSL_MODES: Final = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What PyMySQL and mysqlclient take alike, or what `myapp.mysql_connector` translates for them.
_MYSQL: Final = _words(
    "bind_address charset client_flag collation connect_timeout init_command local_infile "
    "program_name read_default_file read_default_group read_timeout server_public_key "
    "sql_mode ssl_ca ssl_capath ssl_cert ssl_check_hostname ssl_cipher ssl_disabled ssl_key "
    "ssl_key_password ssl_verify_cert ssl_verify_identity unix_socket write_timeout"
)
_PYMYSQL_ALONE: Final = _words(
    "bind_address collation program_name server_public_key ssl_key_password"
)
_SQLITE: Final = _words("cached_statements detect_types isolation_level timeout")

# Of pools, of other languages' drivers and of services: nothing that changes what is stored, or
# how safely it travels. Without underscores, hyphens and capitals.
_HARMLESS: Final = _words(
    "allowpublickeyretrieval applicationname autoreconnect cacheprepstmts checkouttimeout "
    "connectionlimit connhealthchecks connmaxage idletimeout loc maxidle maxoverflow "
    "multistatements parsetime pgbouncer pool poolmaxidletime poolprepin poolpreping "
    "poolrecycle poolsize pooltimeout preparedstatements preparethreshold queuelimit "
    "reapingfrequency reconnect rewritebatchedstatements servertimezone serverversion "
    "sockettimeout statementcachesize supa tcpkeepalive uselegacydatetimecode uselibpqcompat "
    "useserverprepstmts useunicode waitforconnections zerodatetimebehavior"
)
_CHARSETS: Final = frozenset({"charset", "encoding", "characterencoding", "clientencoding"})
_UTF8: Final = frozenset({"utf8", "utf8mb3", "utf8mb4", "unicode"})

# How the drivers of other languages ask for TLS, and what that is for PostgreSQL and for MySQL.
_TLS_NAMES: Final = _words("ssl tls sslmode sslaccept usessl requiressl usetls")
_TLS_LEVELS: Final = {
    **dict.fromkeys(("disable", "disabled", "false", "0", "off", "no"), 0),
    **dict.fromkeys(("allow", "prefer", "preferred"), 1),
    **dict.fromkeys(("require", "required", "true", "1", "on", "yes"), 2),
    **dict.fromkeys(("noverify", "skipverify", "acceptinvalidcerts"), 2),
    '{"rejectunauthorized":false}': 2,
    **dict.fromkeys(("verifyca",), 3),
    **dict.fromkeys(("verifyfull", "verifyidentity", "strict"), 4),
    '{"rejectunauthorized":true}': 4,
}
_PG_MODES: Final = ("disable", "prefer", "require", "verify-ca", "verify-full")
_OTHER_NAMES: Final = {
    "postgresql": {
        "applicationname": "application_name", "sslca": "sslrootcert", "sslrootca": "sslrootcert",
    },
    "mysql": {"sslca": "ssl_ca", "sslrootcert": "ssl_ca"},
}  # fmt: skip
# What libpq takes for each; any other value fails at each connect.
_PG_WORDS: Final = {
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": (
        *("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    ),
}
_NUMBERS: Final = _words(
    "connect_timeout read_timeout write_timeout client_flag keepalives keepalives_idle "
    "keepalives_interval keepalives_count tcp_user_timeout"
)
_TIMEOUTS: Final = _words("connect_timeout read_timeout write_timeout")
_A_YEAR: Final = 365 * 24 * 3600  # seconds, PyMySQL's longest
_BOOLEANS: Final = _words(
    "ssl_check_hostname ssl_disabled ssl_verify_cert ssl_verify_identity local_infile"
)

Query = dict[str, str | tuple[str, ...]]


def understood(url: URL) -> tuple[URL, tuple[str, ...]]:
    """The URL with parameters that its driver knows, and the names of those that were dropped.

    Raises Expected for one that is neither.
    """
    if url.get_backend_name() == "sqlite" and "uri" in url.query:
        if _boolean("uri", url.query["uri"]):
            # SQLite itself is handed the others.
            return _check_uri(url), ()
        url = url.difference_update_query(["uri"])
    kept: Query = {}
    dropped = []
    known = _known(url)
    for name, value in url.query.items():
        if not isinstance(value, str) and name != "host":
            raise Expected(f"{_shown(name)} only once")
        if name in known:
            kept[name] = value
        elif not _translate(url, name, str(value), kept):
            if not _is_dropped(url, name, str(value)):
                raise _unknown(url, name, known)
            dropped.append(_shown(name))
    _check(url, kept)
    return url.set(query=kept), tuple(sorted(dropped))


def _check_uri(url: URL) -> URL:
    if url.query.get("mode", "rwc") not in ("ro", "rw", "rwc"):
        raise Expected("mode to be one of ro, rw and rwc")
    return url


def _known(url: URL) -> frozenset[str]:
    driver = url.get_driver_name()
    if driver == "psycopg":
        # Imported where it is needed: an application on SQLite loads no PostgreSQL driver.
        from psycopg import pq

        words = frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())
        return (words - {"replication", "sslmode"}) | {"prepare_threshold"}
    if driver == "mysqldb":
        return _MYSQL - _PYMYSQL_ALONE
    return _MYSQL if driver == "pymysql" else _SQLITE


def _plain(text: str) -> str:
    return re.sub(r"[-_\s]", "", text).lower()


def _kind(url: URL) -> str:
    backend = url.get_backend_name()
    return "mysql" if backend == "mariadb" else backend


def _translate(url: URL, name: str, value: str, kept: Query) -> bool:
    """Put a parameter of another driver's into this driver's words, if it has any for it."""
    kind, plain = _kind(url), _plain(name)
    if plain in _TLS_NAMES and kind != "sqlite":
        level = _level(name, value)
        # What does not require TLS still allows it.
        _demand(kind, kept, 1 if plain == "requiressl" and level == 0 else level)
        return True
    if plain == "verifyservercertificate" and kind == "mysql":
        _demand(kind, kept, 3 if _boolean(name, value) else 1)
        return True
    ours = _OTHER_NAMES.get(kind, {}).get(plain)
    if ours is not None:
        kept[ours] = value
    return ours is not None


def _demand(kind: str, kept: Query, level: int) -> None:
    """Use TLS at least so; of several that differ, the strictest counts."""
    name, modes = ("sslmode", _PG_MODES) if kind == "postgresql" else (SSL_MODE, SSL_MODES)
    before = kept.get(name)
    if isinstance(before, str) and before in modes:
        other = modes.index(before)
        if 0 in (level, other) and level != other:
            raise Expected("TLS to be either requested or disabled, not both")
        level = max(level, other)
    kept[name] = modes[level]


def _level(name: str, value: str) -> int:
    level = _TLS_LEVELS.get(_plain(value))
    if level is None:
        raise Expected(
            f"{_shown(name)} to be one of disable, prefer, require, verify-ca and verify-full"
        )
    return level


def _is_dropped(url: URL, name: str, value: str) -> bool:
    """Whether a parameter means nothing here. Raises Expected where only its value does."""
    plain = _plain(name)
    if plain in _CHARSETS:
        if _plain(value) not in _UTF8:
            raise Expected(f"{_shown(name)}=utf8, since all text is sent in UTF-8")
        return True
    if plain in ("schema", "currentschema") and _kind(url) == "postgresql":
        if value != "public":
            raise Expected(
                f"options=-csearch_path%3D… in place of {_shown(name)}, or session.table for the"
                " sessions alone"
            )
        return True
    return is_harmless(name)


def is_harmless(name: str) -> bool:
    """Whether a parameter affects neither what is stored nor how safely it travels."""
    return _plain(name) in _HARMLESS


def _check(url: URL, kept: Query) -> None:
    """Raise Expected for values with which each connect would fail, or fail to be safe."""
    for name, value in kept.items():
        if name in _NUMBERS and not (isinstance(value, str) and re.fullmatch(r"\d{1,9}", value)):
            raise Expected(f"{_shown(name)} to be a whole number")
        if (
            name in _TIMEOUTS
            and url.get_driver_name() == "pymysql"
            and not 0 < int(str(value)) <= _A_YEAR
        ):
            raise Expected(f"{name} to be a number of seconds from 1 to {_A_YEAR}")
        if name in _BOOLEANS:
            kept[name] = "true" if _boolean(name, value) else "false"
    if _kind(url) == "postgresql":
        _check_postgresql(kept)
    if _kind(url) == "mysql":
        _check_mysql(kept)


def _boolean(name: str, value: object) -> bool:
    try:
        return parse_bool(str(value))
    except ValueError:
        raise Expected(f"{_shown(name)} to be true or false") from None


def _check_postgresql(kept: Query) -> None:
    for name, words in _PG_WORDS.items():
        if kept.get(name, words[0]) not in words:
            raise Expected(f"{name} to be one of {', '.join(words)}")
    if _plain(str(kept.get("client_encoding"))) == "sqlascii":
        # psycopg makes bytes of its text, and SQLAlchemy expects characters.
        raise Expected("a client_encoding other than SQL_ASCII; leave it out to use UTF-8")
    for port in str(kept.get("port", "")).split(","):
        if port and not (re.fullmatch(r"\d{1,5}", port) and 0 < int(port) < 65536):
            raise Expected("a port from 1 to 65535")
    if str(kept.get("sslmode")).startswith("verify"):
        _check_roots(kept)
    roots = kept.get("sslrootcert", os.environ.get("PGSSLROOTCERT"))
    if roots != "system" and kept.get("sslmode") == "require":
        # libpq would verify nothing, and say nothing, if it were missing.
        _check_file("sslrootcert", roots)
    for name in ("sslcert", "sslkey", "sslcrl"):
        _check_file(name, kept.get(name))


def _check_roots(kept: Query) -> None:
    """libpq verifies nothing without a file of certificates, and so connects to nobody."""
    given = kept.get("sslrootcert", os.environ.get("PGSSLROOTCERT"))
    if given is None and not Path("~/.postgresql/root.crt").expanduser().exists():
        raise Expected(
            f"sslrootcert beside sslmode={kept['sslmode']}: a file of certificates, or `system`"
        )
    if given != "system":
        _check_file("sslrootcert", given)
    elif kept["sslmode"] != "verify-full":
        raise Expected("sslmode=verify-full beside sslrootcert=system")


def _check_mysql(kept: Query) -> None:
    charset = kept.get("charset")
    if isinstance(charset, str):
        kept["charset"] = _charset(charset)
    for name in ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key"):
        _check_file(name, kept.get(name))
    if "ssl_key" in kept and "ssl_cert" not in kept:
        raise Expected("ssl_cert beside ssl_key")
    _check_address(kept.get("bind_address"))
    options = kept.get("read_default_file")
    if options is not None:
        _check_file("read_default_file", Path(str(options)).expanduser())


def _check_address(address: object) -> None:
    """Raise Expected for an address from which nothing can be connected."""
    if address is None:
        return
    kind, flags = socket.SOCK_STREAM, socket.AI_ADDRCONFIG
    try:
        family, _, _, _, place = socket.getaddrinfo(str(address), 0, type=kind, flags=flags)[0]
        with socket.socket(family, kind) as made:
            made.bind(place)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Expected(f"bind_address to be an address of this machine ({reason})") from None


def _charset(name: str) -> str:
    """A character set that the drivers know; utf8 of MySQL lacks every emoji, and all else has it.

    Raises Expected.
    """
    from pymysql.charset import charset_by_name

    if _plain(name) in _UTF8:
        return "utf8mb4"
    try:
        # Of some, such as binary, Python makes no text.
        codecs.lookup(charset_by_name(name).encoding)
    except (AttributeError, KeyError, LookupError):
        raise Expected("a charset that MySQL and Python know, or none to use utf8mb4") from None
    return name


def _check_file(name: str, path: object) -> None:
    if path is not None and not os.access(str(path), os.R_OK):
        raise Expected(f"{name} to be a file that can be read")


def _unknown(url: URL, name: str, known: Iterable[str]) -> Expected:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return Expected(
        f"no parameter {_shown(name)}, which {url.get_driver_name()} does not have{hint}"
    )


def _shown(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= 40 else f"{shown[:40]}…"
