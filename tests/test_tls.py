"""TLS to a database: asked for, verified and refused, against real servers (C2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import NullPool, text

from harness.servers.certificates import Authority
from harness.servers.mariadb import MariaDB
from harness.servers.postgresql import PostgreSQL
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.servers.server import Server
from myapp.database import create_database_engine
from myapp.sessions import StoreUnavailable
from myapp.sessions.core.errors import StoreRefused
from myapp.sessions.sql.store import SqlStore

KINDS = {"postgresql": PostgreSQL, "mariadb": MariaDB}
SSL_IN_USE = {
    "postgresql": "SELECT CAST(ssl AS varchar) FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SELECT variable_value FROM information_schema.session_status"
    " WHERE variable_name = 'Ssl_cipher'",
}
DRIVERS = ("postgresql", "pymysql", "mysqldb")


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    """The one that signs, and another one."""
    folder = tmp_path_factory.mktemp("certificates")
    return Authority(folder, "ours"), Authority(folder, "other")


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, authorities: tuple[Authority, Authority]
) -> Iterator[Server]:
    """A server with a certificate for 127.0.0.1."""
    try:
        made = KINDS[request.param](tls=authorities[0])
    except ServerMissing as missing:
        skip_or_fail(missing)
    with made:
        yield made


@pytest.fixture(params=["ours", "mysqlclient"])
def url(request: pytest.FixtureRequest, server: Server) -> Iterator[str]:
    """The URL of a database, by each driver that serves it."""
    with server.database() as found:
        bare = found.partition("?")[0]
        if request.param == "mysqlclient":
            if isinstance(server, PostgreSQL):
                pytest.skip("a driver of MariaDB's")
            pytest.importorskip("MySQLdb", reason="mysqlclient is not installed")
            bare = bare.replace("+pymysql", "+mysqldb")
        yield bare


def cipher(url: str) -> str:
    """Whether TLS is in use, in the server's words; empty or false if not."""
    engine = create_database_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        query = SSL_IN_USE["postgresql" if engine.dialect.name == "postgresql" else "mysql"]
        return str(connection.scalar(text(query)))


def refused(url: str) -> str:
    """What a session's store says."""
    with closing(SqlStore(url)) as store:
        with pytest.raises(StoreRefused):
            # For good: an application does not start.
            store.check()
        with pytest.raises(StoreUnavailable) as caught:
            store.count()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("words", ["sslmode=require", "ssl-mode=REQUIRED", "ssl=true"])
def test_tls_is_used_where_it_is_asked_for(url: str, words: str) -> None:
    """C2: however the host writes it."""
    assert cipher(f"{url}?{words}") not in ("", "false", "None")


def test_no_tls_is_used_where_it_is_disabled(url: str) -> None:
    """C2: the control."""
    assert cipher(f"{url}?sslmode=disable") in ("", "false")


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_certificate_of_another_authority_is_refused(
    url: str, authorities: tuple[Authority, Authority], mode: str
) -> None:
    """C2: and one of the right authority is not."""
    ours, other = authorities
    assert cipher(f"{url}?sslmode={mode}&ssl-ca={ours.path}") not in ("", "false")
    reason = refused(f"{url}?sslmode={mode}&ssl-ca={other.path}").lower()
    assert "certificate" in reason or "tls" in reason or "ssl" in reason


def test_a_certificate_without_authority_is_refused(url: str) -> None:
    """C2: nobody signed for it whom the system knows."""
    system = "&sslrootcert=system" if "postgresql" in url else ""
    refused(f"{url}?sslmode=verify-full{system}")


def test_a_certificate_of_another_host_is_refused(
    url: str, server: Server, authorities: tuple[Authority, Authority]
) -> None:
    """C2: by those who ask for the identity."""
    by_name = url.replace("127.0.0.1", "localhost", 1)
    if "mysqldb" in url:
        pytest.skip("its library takes localhost for the system's socket; see below")
    refused(f"{by_name}?sslmode=verify-full&ssl-ca={authorities[0].path}")
    assert cipher(f"{by_name}?sslmode=verify-ca&ssl-ca={authorities[0].path}") not in ("", "false")


class Elsewhere(MariaDB):
    """A server with the certificate of another host."""

    tls_host = "db.example.com"


def test_mysqlclient_refuses_the_certificate_of_another_host(
    authorities: tuple[Authority, Authority], mariadb: MariaDB
) -> None:
    """C2: MariaDB's library looks at the name as well where its authority is to be verified."""
    pytest.importorskip("MySQLdb", reason="mysqlclient is not installed")
    with Elsewhere(tls=authorities[0]) as server, server.database() as found:
        bare = found.partition("?")[0].replace("+pymysql", "+mysqldb")
        for mode in ("verify-full", "verify-ca"):
            refused(f"{bare}?sslmode={mode}&ssl-ca={authorities[0].path}")
        assert cipher(f"{bare}?sslmode=require") not in ("", "None")


@pytest.mark.parametrize("kind", DRIVERS)
def test_a_server_without_tls_is_refused_where_it_is_asked_for(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """C2: never is a demand for security dropped."""
    if kind == "mysqldb":
        pytest.importorskip("MySQLdb", reason="mysqlclient is not installed")
    server: Server = request.getfixturevalue("postgresql" if kind == "postgresql" else "mariadb")
    with server.database() as found:
        bare = found.partition("?")[0].replace("+pymysql", f"+{kind}")
        for mode in ("require", "verify-full"):
            roots = "&sslrootcert=system" if kind == "postgresql" and mode == "verify-full" else ""
            refused(f"{bare}?sslmode={mode}{roots}")
