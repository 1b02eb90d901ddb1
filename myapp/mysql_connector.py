"""How PyMySQL and mysqlclient are called: TLS as the URL asks for it, passwords in UTF-8.

PyMySQL takes a certificate of any host for ours unless it is given a file of certificates, and
`?ssl_disabled=false` for true. So what it is to verify is decided here, for both drivers alike.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from sqlalchemy import URL

from myapp.setting_table import Expected
from myapp.url_parameters import SSL_MODE, SSL_MODES

_DISABLED, _PREFERRED, _REQUIRED, _VERIFY_CA, _VERIFY_IDENTITY = range(5)
_DEMANDS: Final = SSL_MODES[_REQUIRED:]
_NO_TLS: Final = 2026  # the client's own number for what is wrong with TLS
_FILES: Final = ("ca", "capath", "cert", "key", "cipher")


class Connector:
    """Settles the arguments of each connect of one engine: SQLAlchemy's event `do_connect`."""

    def __init__(self, url: URL) -> None:
        """`url` as `parse_url` has it. Raises Expected where its certificates can't be used."""
        self._is_pymysql = url.get_driver_name() == "pymysql"
        self._tls = _pymysql(url.query) if self._is_pymysql else _mysqlclient(url.query)

    def __call__(self, dialect: Any, record: Any, args: list[Any], given: dict[str, Any]) -> Any:
        for name in [name for name in given if name.startswith("ssl")]:
            del given[name]
        given.update(self._tls)
        password = given.get("password")
        if self._is_pymysql and isinstance(password, str):
            # PyMySQL would take Latin-1, and the server knows what was hashed in UTF-8.
            given["password"] = password.encode()
        connection = dialect.connect(*args, **given)
        # MariaDB's library goes on in plain text with a server that offers no TLS.
        if self._tls.get("ssl_mode") in _DEMANDS and not _is_encrypted(connection):
            connection.close()
            raise dialect.loaded_dbapi.OperationalError(_NO_TLS, "the server offers no TLS")
        return connection


def _is_encrypted(connection: Any) -> bool:
    with closing(connection.cursor()) as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        return bool(cursor.fetchone()[1])


def _level(query: Mapping[str, Any]) -> int | None:
    """How TLS is used, as one of SSL_MODES; None where the URL does not say."""
    levels = []
    if SSL_MODE in query:
        levels.append(SSL_MODES.index(query[SSL_MODE]))
    for name, level in (("ssl_verify_cert", _VERIFY_CA), ("ssl_verify_identity", _VERIFY_IDENTITY)):
        if name in query:
            levels.append(level if query[name] == "true" else _REQUIRED)
    if query.get("ssl_disabled") == "true":
        if levels and max(levels) != _DISABLED:
            raise Expected("TLS to be either requested or disabled, not both")
        return _DISABLED
    if "ssl_ca" in query or "ssl_capath" in query:
        # If certificates are named, they should be checked.
        is_named = query.get("ssl_check_hostname", "true") == "true" and not levels
        levels.append(_VERIFY_IDENTITY if is_named else _VERIFY_CA)
    elif not levels and any(name in query for name in ("ssl_cert", "ssl_key", "ssl_cipher")):
        levels.append(_REQUIRED)
    return max(levels, default=None)


def _files(query: Mapping[str, Any]) -> dict[str, str]:
    named = {name: query.get(f"ssl_{name}") for name in _FILES}
    return {name: given for name, given in named.items() if given is not None}


def _pymysql(query: Mapping[str, Any]) -> dict[str, Any]:
    level = _level(query)
    if level is None or level == _PREFERRED:
        return {}
    if level == _DISABLED:
        return {"ssl_disabled": True}
    try:
        return {"ssl": _context(level, _files(query), query.get("ssl_key_password"))}
    except (OSError, ValueError) as error:
        raise Expected(f"certificates that can be used: {error}") from None


def _context(level: int, files: Mapping[str, str], password: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.get("ca"), capath=files.get("capath"))
    # The certificates that MySQL makes for itself do not pass the strictest rules.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = level == _VERIFY_IDENTITY
    context.verify_mode = ssl.CERT_REQUIRED if level >= _VERIFY_CA else ssl.CERT_NONE
    if "cert" in files:
        context.load_cert_chain(files["cert"], files.get("key"), password)
    if "cipher" in files:
        context.set_ciphers(files["cipher"])
    return context


def _mysqlclient(query: Mapping[str, Any]) -> dict[str, Any]:
    level = _level(query)
    if level is None:
        return {}
    # MariaDB's library verifies the name with the certificate, or neither.
    level = _VERIFY_IDENTITY if level == _VERIFY_CA else level
    files = _files(query)
    return {"ssl_mode": SSL_MODES[level]} | ({"ssl": files} if files else {})
