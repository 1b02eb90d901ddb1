"""The databases of the benchmark: those of the tests, and a Redis beside them.

`python -m bench.servers` installs what is missing, where we may.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final
from uuid import uuid4

from sqlalchemy import create_engine, text

from harness.servers.install import main as install
from harness.servers.mariadb import MariaDB
from harness.servers.ports import LOOPBACK
from harness.servers.postgresql import PostgreSQL
from harness.servers.process import Child
from harness.servers.programs import MARIADB, POSTGRESQL, Program
from harness.servers.server import ENVIRONMENT, Server

REDIS: Final = Program(
    name="Redis",
    executables=("redis-server",),
    install=("apt-get", "install", "-y", "--no-install-recommends", "redis-server"),
)


class Redis(Server):
    """Redis on a loopback port; it writes nothing to the disk."""

    account_name: ClassVar[str] = "redis"

    def url(self, database: str) -> str:
        """The URL; Redis has numbers for databases, and here it has one."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def create_database(self, name: str) -> None:
        """There is one already; whoever asks for one gets it empty."""
        self._say(b"FLUSHALL\r\n")

    def drop_database(self, name: str) -> None:
        """It goes with the server."""

    def _find_programs(self) -> None:
        # What it is a link to on Debian behaves by the name that it is called by.
        self._redis = REDIS.find().with_name("redis-server")

    def _create_data(self) -> None:
        """There is none."""

    def _spawn(self) -> Child:
        command: list[str | Path] = [self._redis, "--bind", LOOPBACK, "--port", str(self.port)]
        command += ["--dir", self.folder, "--save", "", "--appendonly", "no"]
        return Child(
            command,
            log=self.folder / "log",
            folder=self.folder,
            environment=ENVIRONMENT,
            account=self.account,
            remove=self.folder,
        )

    def _answers(self) -> bool:
        try:
            return self._say(b"PING\r\n").startswith(b"+PONG")
        except OSError:
            return False

    def _say(self, command: bytes) -> bytes:
        with socket.create_connection((LOOPBACK, self.port), timeout=5) as connection:
            connection.sendall(command)
            return connection.recv(64)


class SQLiteFolder:
    """A folder for SQLite's files, in memory where the servers of the tests keep theirs too."""

    def __enter__(self) -> SQLiteFolder:
        """Make it."""
        memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(
            prefix="myapp-bench-", dir=memory if os.access(memory, os.W_OK) else None
        )
        return self

    def __exit__(self, *error: object) -> None:
        """Remove it with all files."""
        self._folder.cleanup()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new file."""
        yield f"sqlite:///{self._folder.name}/{uuid4().hex}.sqlite"


KINDS: Final[dict[str, type[Server] | type[SQLiteFolder]]] = {
    "sqlite": SQLiteFolder,
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
    "redis": Redis,
}

_SETTINGS: Final = {
    "postgresql": ("fsync", "full_page_writes", "synchronous_commit", "shared_buffers"),
    "mariadb": ("innodb_flush_log_at_trx_commit", "innodb_buffer_pool_size"),
}


def describe(kind: str, url: str) -> str:
    """The version of a database, and how far a commit waits for the disk."""
    if kind == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}: journal_mode=WAL, synchronous=NORMAL"
    if kind == "redis":
        return "Redis: nothing is written to the disk"
    engine = create_engine(url)
    with engine.connect() as connection:
        version = connection.scalar(text("SELECT version()"))
        found = [_setting(kind, name) for name in _SETTINGS[kind]]
        values = [connection.scalar(text(query)) for query in found]
    engine.dispose()
    name = " ".join(str(version).split()[:2]) if kind == "postgresql" else f"MariaDB {version}"
    pairs = zip(_SETTINGS[kind], values, strict=True)
    return f"{name}: " + ", ".join(f"{key}={value}" for key, value in pairs)


def _setting(kind: str, name: str) -> str:
    if kind == "postgresql":
        return f"SELECT current_setting('{name}')"
    return f"SELECT @@GLOBAL.{name}"


if __name__ == "__main__":
    install((POSTGRESQL, MARIADB, REDIS))
