"""A real PgBouncer in front of the tests' PostgreSQL: many clients share its few backends."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import ClassVar, Literal

from harness.servers.ports import LOOPBACK, answers
from harness.servers.postgresql import PostgreSQL
from harness.servers.process import Child
from harness.servers.programs import PGBOUNCER
from harness.servers.server import ENVIRONMENT, Server

Mode = Literal["session", "transaction", "statement"]
PREPARES = (1, 21)
"""The first version that knows which prepared statement is whose."""


def version() -> tuple[int, ...]:
    """The version of the PgBouncer that is installed. Raises ServerMissing."""
    shown = subprocess.check_output([PGBOUNCER.find(), "--version"], text=True)
    return tuple(int(number) for number in shown.split()[1].split("."))


class PgBouncer(Server):
    """PgBouncer on a loopback port; every client is PostgreSQL's superuser."""

    account_name: ClassVar[str] = "postgres"

    def __init__(
        self,
        server: PostgreSQL,
        *,
        mode: Mode = "transaction",
        pool_size: int = 2,
        ignored: str = "extra_float_digits",
        prepared: int | None = None,
    ) -> None:
        """`pool_size`: how many backends the clients of a database share; `ignored`: the start-up
        parameters that it passes over instead of refusing them; `prepared`: how many prepared
        statements it manages for each backend, which PgBouncer can from PREPARES on.
        """
        super().__init__()
        self._server = server
        self._settings: dict[str, object] = {
            "listen_addr": LOOPBACK,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": pool_size,
            "max_client_conn": 200,
            "ignore_startup_parameters": ignored,
            # A test of an outage is not to wait for the next attempt.
            "server_login_retry": 0.1,
        }
        if prepared is not None:
            self._settings["max_prepared_statements"] = prepared

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of the server, by way of the pooler."""
        return f"postgresql+psycopg://postgres@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str) -> None:
        """Create an empty database on the server."""
        self._server.create_database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database of the server, even if somebody is still connected to it."""
        self._server.drop_database(name)

    def _find_programs(self) -> None:
        self._pgbouncer = PGBOUNCER.find()

    def _create_data(self) -> None:
        """The settings are written when the port is known."""

    def _spawn(self) -> Child:
        return Child(
            [self._pgbouncer, self._written_settings()],
            log=self.folder / "log",
            folder=self.folder,
            environment=ENVIRONMENT,
            account=self.account,
            # At once, even if somebody is still connected.
            remove=self.folder,
        )

    def _written_settings(self) -> Path:
        settings = self._settings | {"listen_port": self.port}
        target = f"* = host={LOOPBACK} port={self._server.port} user=postgres"
        lines = ["[databases]", target, "[pgbouncer]"]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        ini = self.folder / "pgbouncer.ini"
        ini.write_text("\n".join(lines) + "\n")
        return ini

    def _answers(self) -> bool:
        return answers(self.port)
