"""A real PostgreSQL server for the tests.

It gives up protection from a power cut, but not from the death of a process: a commit that was
acknowledged survives ``kill``.
"""

import signal
from pathlib import Path
from typing import ClassVar

import psycopg

from harness.servers.ports import LOOPBACK
from harness.servers.process import Child, run_as
from harness.servers.programs import POSTGRESQL
from harness.servers.server import ENVIRONMENT, Server


class PostgreSQL(Server):
    """PostgreSQL on a loopback port; its superuser needs no password."""

    account_name: ClassVar[str] = "postgres"

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"postgresql+psycopg://postgres@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        with self._connect() as connection:
            # From version 15 on, the default writes the whole copy to the log: twice the time.
            copy = "STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 {copy}'.encode())

    def drop_database(self, name: str) -> None:
        """Drop a database, even if somebody is still connected to it."""
        with self._connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def _find_programs(self) -> None:
        self._initdb = POSTGRESQL.find()
        self._postgres = self._initdb.with_name("postgres")

    def _create_data(self) -> None:
        # Without UTF-8 the driver gives bytes where SQLAlchemy expects text.
        command: list[str | Path] = [self._initdb, "--pgdata", self.folder / "data"]
        command += ["--auth=trust", "--username=postgres", "--encoding=UTF8"]
        command += ["--locale=C", "--no-sync"]
        run_as(self.account, command, folder=self.folder, environment=ENVIRONMENT)

    def _spawn(self) -> Child:
        settings = {
            "port": self.port,
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 200,
            # In the data folder, so that a killed server leaves nothing elsewhere.
            "dynamic_shared_memory_type": "mmap",
        }
        certificate = self.certificate()
        if certificate is not None:
            files = zip(("ssl_cert_file", "ssl_key_file"), map(str, certificate), strict=True)
            settings |= {"ssl": "on", **dict(files)}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return Child(
            [self._postgres, "-D", self.folder / "data", *options],
            log=self.folder / "log",
            folder=self.folder,
            environment=ENVIRONMENT,
            account=self.account,
            # The fast shutdown: the usual one waits until every client has left.
            stop_signal=signal.SIGINT,
            remove=self.folder,
        )

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user="postgres",
            dbname="postgres",
            connect_timeout=5,
            autocommit=True,
        )
