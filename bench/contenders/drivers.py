"""Five statements on the connection of each driver, as one would write them by hand."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlsplit


def connect(url: str) -> Driver:
    """The driver for a SQLAlchemy URL, with a connection of its own in autocommit."""
    kinds: dict[str, Callable[[str], Driver]] = {
        "sqlite": SQLite,
        "postgresql": PostgreSQL,
        "mariadb": MariaDB,
        "mariadb+mysqldb": MariaDBInC,
    }
    scheme = url.partition(":")[0]
    return kinds.get(scheme, kinds[scheme.partition("+")[0]])(url)


class Driver(ABC):
    """What the hand-written code does with its database."""

    marker: ClassVar[str]
    columns: ClassVar[str]

    def __init__(self, url: str) -> None:
        """Connect."""
        sql = "INSERT INTO limit_sessions (digest, data) VALUES (?, ?)".replace("?", self.marker)
        self._insert = sql
        sql = "SELECT data FROM limit_sessions WHERE digest = ?"
        self._select = sql.replace("?", self.marker)
        sql = "UPDATE limit_sessions SET data = ? WHERE digest = ?"
        self._update = sql.replace("?", self.marker)
        self._delete = "DELETE FROM limit_sessions WHERE digest = ?".replace("?", self.marker)
        self.connection: Any = self.open(url)
        self.execute: Any = self.connection.cursor().execute

    @abstractmethod
    def open(self, url: str) -> Any:
        """A connection in autocommit."""

    @abstractmethod
    def select(self, digest: bytes) -> Any:
        """The data of a row, None if there is none."""

    def create_table(self) -> None:
        """Make the table, where there is none."""
        self.execute(f"CREATE TABLE IF NOT EXISTS limit_sessions ({self.columns})")

    def insert(self, digest: bytes, data: bytes) -> None:
        """Add a row."""
        self.execute(self._insert, (digest, data))

    def update(self, digest: bytes, data: bytes) -> None:
        """Change a row."""
        self.execute(self._update, (data, digest))

    def update_on(self, connection: Any, digest: bytes, data: bytes) -> None:
        """Change a row within the transaction of another connection."""
        connection.cursor().execute(self._update, (data, digest))

    def delete(self, digest: bytes) -> None:
        """Remove a row."""
        self.execute(self._delete, (digest,))

    def replace(self, old: bytes, new: bytes, data: bytes) -> None:
        """Put a row in the place of another one, or leave both as they were."""
        self.execute("BEGIN")
        self.execute(self._delete, (old,))
        self.execute(self._insert, (new, data))
        self.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class SQLite(Driver):
    """The standard library's module, which prepares each statement once."""

    marker = "?"
    columns = "digest BLOB PRIMARY KEY, data BLOB NOT NULL"

    def open(self, url: str) -> Any:
        path = url.removeprefix("sqlite:///")
        connection = sqlite3.connect(path, isolation_level=None, timeout=5)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def select(self, digest: bytes) -> Any:
        row = self.execute(self._select, (digest,)).fetchone()
        return row and row[0]


class PostgreSQL(Driver):
    """psycopg 3; the server prepares each statement at its first use."""

    marker = "%s"
    columns = "digest bytea PRIMARY KEY, data bytea NOT NULL"

    def open(self, url: str) -> Any:
        import psycopg

        return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, prepare_threshold=0)

    def select(self, digest: bytes) -> Any:
        row = self.execute(self._select, (digest,)).fetchone()
        return row and row[0]


def _place(url: str) -> dict[str, Any]:
    """Where a URL leads, as both drivers for MariaDB want it told."""
    parts = urlsplit(url)
    return {
        "host": parts.hostname or "",
        "port": parts.port or 0,
        "user": parts.username,
        "database": parts.path.strip("/"),
        "autocommit": True,
    }


class MariaDB(Driver):
    """PyMySQL, which has no prepared statements and writes parameters into the text."""

    marker = "%s"
    columns = "digest BINARY(32) PRIMARY KEY, data MEDIUMBLOB NOT NULL"

    def open(self, url: str) -> Any:
        import pymysql

        return pymysql.connect(**_place(url), ssl_disabled=True)

    def __init__(self, url: str) -> None:
        """Connect, and keep one cursor."""
        super().__init__(url)
        self._cursor = self.execute.__self__

    def select(self, digest: bytes) -> Any:
        self.execute(self._select, (digest,))
        row = self._cursor.fetchone()
        return row and row[0]


class MariaDBInC(MariaDB):
    """mysqlclient, which writes parameters into the text as well."""

    def open(self, url: str) -> Any:
        import MySQLdb

        return MySQLdb.connect(**_place(url))
