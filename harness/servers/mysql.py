"""A real MySQL server for the tests, in place of MariaDB where that is not installed."""

from pathlib import Path
from typing import ClassVar

from harness.servers.mariadb import MariaDB
from harness.servers.ports import LOOPBACK
from harness.servers.process import run_as
from harness.servers.programs import MARIADB, MYSQL


class MySQL(MariaDB):
    """MySQL 8.4 or later on a loopback port; its root user needs no password."""

    _own_settings: ClassVar[dict[str, str]] = {
        "innodb-redo-log-capacity": "32M",
        "mysqlx": "OFF",
        # The tests count in a table without transactions, which GTIDs do not allow.
        "gtid-mode": "OFF",
        "enforce-gtid-consistency": "OFF",
    }
    _without_tls: ClassVar[str] = "--tls-version="

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"mysql+pymysql://root@{LOOPBACK}:{self.port}/{database}?ssl_disabled=true"

    def _find_programs(self) -> None:
        self._mariadbd = MYSQL.find()

    def _create_data(self) -> None:
        command: list[str | Path] = [self._mariadbd, "--no-defaults", "--initialize-insecure"]
        command += [f"--datadir={self.folder / 'data'}"]
        run_as(self.account, command, folder=self.folder, environment=self._environment)


def mariadb_or_mysql() -> MariaDB:
    """The server that is installed; raise ServerMissing, which names MariaDB, where none is."""
    return MySQL() if MYSQL.installed and not MARIADB.installed else MariaDB()
