"""Where the tables lie: in files of SQLite, or in a PostgreSQL server of our own, on a disk.

They are filled in bulk with every index in place: one that is built afterwards is a quarter
smaller than one that has grown, and would flatter.
"""

from __future__ import annotations

import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import insert, make_url
from sqlalchemy.dialects import sqlite

from bench.growth.rows import MIXED, Kind, columns, rows
from harness.servers.postgresql import PostgreSQL
from myapp.database import create_database_engine
from myapp.sessions.sql.model import metadata, table

_CHUNK: Final = 1_000_000
"""Rows of one transaction."""


class Place(ABC):
    """A kind of database, for the time of a with block that `opened` gives."""

    name: ClassVar[str]
    setup: ClassVar[str]
    """How it differs from what is shipped."""

    @classmethod
    @abstractmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[Place]:
        """Have a place for databases in a folder on a disk. Raises ServerMissing."""

    @abstractmethod
    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database, which is gone in the end."""

    @abstractmethod
    def version(self) -> str:
        """Of the database."""

    @abstractmethod
    def bytes(self, url: str) -> dict[str, int]:
        """What the table and each of its indexes occupy."""

    @abstractmethod
    def _fill(self, url: str, total: int, kind: Kind) -> None: ...

    def fill(self, url: str, total: int, kind: Kind = MIXED) -> None:
        """Create the table in an empty database, with so many rows, ready to be used."""
        engine = create_database_engine(url)
        metadata.create_all(engine)
        engine.dispose()
        self._fill(url, total, kind)


class OnSQLite(Place):
    """A file for each table."""

    name = "SQLite"
    setup = "as shipped"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[OnSQLite]:
        with TemporaryDirectory(dir=folder, prefix="growth-sqlite-") as own:
            yield cls(Path(own))

    @contextmanager
    def database(self) -> Iterator[str]:
        with TemporaryDirectory(dir=self._folder) as own:
            yield f"sqlite:///{own}/growth.sqlite"

    def version(self) -> str:
        return sqlite3.sqlite_version

    def bytes(self, url: str) -> dict[str, int]:
        file = _file(url)
        try:
            with closing(sqlite3.connect(file)) as connection:
                query = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name"
                found = {_plain(name): size for name, size in connection.execute(query)}
        except sqlite3.OperationalError:
            # This SQLite was built without that table.
            return {table.name: os.path.getsize(file)}
        return {name: size for name, size in found.items() if not name.startswith("sqlite_")}

    def _fill(self, url: str, total: int, kind: Kind) -> None:
        named = sqlite.dialect(paramstyle="named")
        statement = str(insert(table).compile(dialect=named, column_keys=columns(kind)))
        with closing(sqlite3.connect(_file(url))) as connection:
            # Nobody else is there, and what fails is made anew.
            for pragma in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-2000000"):
                connection.execute(f"PRAGMA {pragma}")
            connection.executemany(statement, rows(range(total), total, kind))
            connection.commit()
            connection.execute("ANALYZE")
        with closing(sqlite3.connect(_file(url))) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


class OnPostgreSQL(Place):
    """A database for each table, on one server."""

    name = "PostgreSQL"
    setup = (
        "`shared_buffers = 1GB`, `max_wal_size = 8GB`; `fsync` and `full_page_writes` are off, as"
        " it is not the disk that is measured"
    )
    _SETTINGS: Final = (
        *("shared_buffers = 1GB", "max_wal_size = 8GB", "checkpoint_timeout = 30min"),
        # Nobody copies this server.
        *("wal_level = minimal", "max_wal_senders = 0"),
    )

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[OnPostgreSQL]:
        with ConfiguredPostgreSQL(folder, cls._SETTINGS) as server:
            yield cls(server)

    @contextmanager
    def database(self) -> Iterator[str]:
        with self._server.database() as url:
            yield url

    def version(self) -> str:
        with self._server.database() as url, connected(url) as connection:
            return str(_one(connection, "SHOW server_version")).partition(" ")[0]

    def bytes(self, url: str) -> dict[str, int]:
        with connected(url) as connection:
            query = """
                SELECT relname, pg_relation_size(indexrelid)
                FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                WHERE indrelid = %s::regclass ORDER BY relname"""
            indexes = dict(connection.execute(query, [table.name]).fetchall())
            # What is out of line, the free space map and the visibility map included.
            return {table.name: _one(connection, "SELECT pg_table_size(%s)", table.name)} | indexes

    def _fill(self, url: str, total: int, kind: Kind) -> None:
        with connected(url) as connection:
            for start in range(0, total, _CHUNK):
                self._copy(connection, range(start, min(start + _CHUNK, total)), total, kind)
            connection.execute(SQL("VACUUM ANALYZE {}").format(Identifier(table.name)))
            connection.execute("CHECKPOINT")

    def _copy(self, connection: psycopg.Connection, numbers: range, total: int, kind: Kind) -> None:
        into = SQL("COPY {} ({}) FROM STDIN").format(
            Identifier(table.name), SQL(", ").join(map(Identifier, columns(kind)))
        )
        with connection.cursor() as cursor, cursor.copy(into) as copy:
            for each in rows(numbers, total, kind):
                copy.write_row(list(each.values()))


PLACES: Final[tuple[type[Place], ...]] = (OnSQLite, OnPostgreSQL)


class ConfiguredPostgreSQL(PostgreSQL):
    """With lines of its own in postgresql.conf."""

    def __init__(self, base: Path, settings: tuple[str, ...]) -> None:
        super().__init__(base)
        self._settings = settings

    def _create_data(self) -> None:
        super()._create_data()
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in self._settings)


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    """A connection of the driver's own, in autocommit, without limits of time."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        yield connection


def _one(connection: psycopg.Connection, query: Any, *values: object) -> Any:
    found = connection.execute(query, values).fetchone()
    assert found is not None
    return found[0]


def _file(url: str) -> str:
    file = make_url(url).database
    assert file is not None
    return file


def _plain(name: str) -> str:
    """SQLite names the indexes of its constraints by number."""
    return {
        f"sqlite_autoindex_{table.name}_1": f"pk_{table.name}",
        f"sqlite_autoindex_{table.name}_2": f"uq_{table.name}_handle",
    }.get(name, name)
