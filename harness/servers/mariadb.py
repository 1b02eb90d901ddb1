"""A real MariaDB server for the tests.

It gives up protection from a power cut, but not from the death of a process: a commit that was
acknowledged survives ``kill``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pymysql
from pymysql.constants.ER import NO_SUCH_THREAD
from pymysql.cursors import Cursor

from harness.servers.ports import LOOPBACK
from harness.servers.process import Child, run_as
from harness.servers.programs import MARIADB, Program
from harness.servers.server import ENVIRONMENT, Server


class MariaDB(Server):
    """MariaDB on a loopback port; its root user needs no password."""

    account_name: ClassVar[str] = "mysql"
    _own_settings: ClassVar[dict[str, str]] = {"innodb-log-file-size": "16M"}
    _without_tls: ClassVar[str] = "--skip-ssl"

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        # The driver reads the system's certificates at every connect, 50 ms each time, even for
        # a server without TLS. A test has no use for that.
        return f"mariadb+pymysql://root@{LOOPBACK}:{self.port}/{database}?ssl_disabled=true"

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        with self._cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}`")

    def drop_database(self, name: str) -> None:
        """Drop a database, even if somebody is still connected to it."""
        with self._cursor() as cursor:
            _end_connections(cursor, name)
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")

    @property
    def _environment(self) -> dict[str, str]:
        # As it starts, a server deletes what looks like temporary tables of its own: others', too.
        return {**ENVIRONMENT, "TMPDIR": str(self.folder)}

    def _find_programs(self) -> None:
        self._mariadbd = MARIADB.find()
        self._install_db = Program(
            name=MARIADB.name,
            executables=("mariadb-install-db", "mysql_install_db"),
            install=MARIADB.install,
        ).find()

    def _create_data(self) -> None:
        command: list[str | Path] = [self._install_db, "--no-defaults", "--skip-test-db"]
        command += ["--auth-root-authentication-method=normal", f"--datadir={self.folder / 'data'}"]
        run_as(self.account, command, folder=self.folder, environment=self._environment)

    def _spawn(self) -> Child:
        settings = {
            "datadir": self.folder / "data",
            "bind-address": LOOPBACK,
            "port": self.port,
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "character-set-server": "utf8mb4",
            "innodb-buffer-pool-size": "64M",
            # The log goes to the system at every commit, to the disk when the system likes.
            "innodb-flush-log-at-trx-commit": 2,
            "max-connections": 200,
        }
        certificate = self.certificate()
        options = [f"--{key}={value}" for key, value in (settings | self._own_settings).items()]
        # Without TLS, which newer versions switch on by themselves: the tests read the wire.
        options += [self._without_tls] if certificate is None else _tls(*certificate)
        return Child(
            [self._mariadbd, "--no-defaults", *options],
            log=self.folder / "log",
            folder=self.folder,
            environment=self._environment,
            account=self.account,
            remove=self.folder,
        )

    def _answers(self) -> bool:
        try:
            with self._cursor() as cursor:
                cursor.execute("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

    @contextmanager
    def _cursor(self) -> Iterator[Cursor]:
        connection = pymysql.connect(
            host=LOOPBACK,
            port=self.port,
            user="root",
            autocommit=True,
            connect_timeout=5,
            ssl_disabled=True,
        )
        with connection, connection.cursor() as cursor:
            yield cursor


def _tls(certificate: Path, key: Path) -> list[str]:
    return [f"--ssl-cert={certificate}", f"--ssl-key={key}"]


def _end_connections(cursor: Cursor, database: str) -> None:
    # An open transaction holds its tables, and a DROP would wait for it.
    cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (database,))
    for (connection_id,) in cursor.fetchall():
        try:
            cursor.execute("KILL CONNECTION %s", (connection_id,))
        except pymysql.err.MySQLError as error:
            # It has left on its own meanwhile.
            if error.args[0] != NO_SUCH_THREAD:
                raise
