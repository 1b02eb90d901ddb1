"""The servers and the database of one run, and what happens to them.

Whatever is started here is ended here, in good order or not.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from harness.processes import ROOT, clean_environment
from harness.servers.mysql import mariadb_or_mysql
from harness.servers.pgbouncer import PgBouncer
from harness.servers.ports import answers, free_port
from harness.servers.postgresql import PostgreSQL
from harness.servers.process import Child
from harness.servers.server import Server
from harness.waiting import wait_until
from myapp.database import create_database_engine
from myapp.sessions.core.lifetime import SECOND
from myapp.sessions.sql.model import metadata
from tests.faults.client import Counter
from tests.faults.health import Health, ask
from tests.faults.history import History
from tests.faults.server import Base

POOLED: Final = "pgbouncer"
"""PostgreSQL behind PgBouncer in transaction mode."""
KINDS: Final[dict[str, Callable[[], Server]]] = {
    "postgresql": PostgreSQL,
    "mariadb": mariadb_or_mysql,
    POOLED: PostgreSQL,
}
BACKENDS: Final = 24
"""So many the pooler has for all. A request may need two, one for its own transaction."""
FORKED: Final = (None, "python", "c")
"""By which fork a server gets its workers, in turn; the first one has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Powers:
    """What happens to the servers besides being killed."""

    forks: bool = False
    interrupts: bool = False
    leaps: bool = False

    def options(self, place: int) -> list[str]:
        """What the server in this place is told."""
        fork = FORKED[place % len(FORKED)] if self.forks else None
        return [
            *(["--fork", fork] if fork else []),
            *(["--interrupts"] if self.interrupts else []),
            *(["--leaps"] if self.leaps else []),
        ]


@contextmanager
def database(name: str, running: Server | None = None) -> Iterator[tuple[str, Sequence[Server]]]:
    """An empty database with the tables, and the servers that can be killed: a file has none."""
    with ExitStack() as stack:
        servers = _servers(name, running, stack)
        if servers:
            url = stack.enter_context(servers[0].database())
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="myapp-faults-"))
            url = f"sqlite:///{Path(folder) / 'sessions.sqlite'}"
        engine = create_database_engine(url)
        metadata.create_all(engine)
        Base.metadata.create_all(engine)
        engine.dispose()
        yield url, servers


def _servers(name: str, running: Server | None, stack: ExitStack) -> list[Server]:
    """The first is the one to connect to."""
    if name == "sqlite":
        return []
    server = running or stack.enter_context(KINDS[name]())
    if name != POOLED:
        return [server]
    if not isinstance(server, PostgreSQL):
        raise TypeError(f"expected a PostgreSQL server, not {server!r}")
    return [stack.enter_context(PgBouncer(server, pool_size=BACKENDS)), server]


class Cluster:
    """Several server processes over one database, each with a clock of its own."""

    def __init__(self, url: str, processes: int, folder: Path, powers: Powers) -> None:
        self.ports = [free_port() for _ in range(processes)]
        # From one second behind to one second ahead.
        widest = max(processes - 1, 1)
        self.skews = [-SECOND + 2 * SECOND * place // widest for place in range(processes)]
        self._url, self._folder, self._powers = url, folder, powers
        self._children: dict[int, Child] = {}

    def start(self) -> None:
        """Start all of them, and return when all answer."""
        for place in range(len(self.ports)):
            self._spawn(place)
        for port in self.ports:
            wait_until(partial(answers, port), f"the server on port {port}", seconds=60)

    def stop(self) -> None:
        """End all of them on the spot."""
        for child in self._children.values():
            child.kill()

    def kill(self, place: int) -> None:
        """Kill one, and start another in its place without waiting for it."""
        self._children[place].kill()
        self._spawn(place)

    def processes(self) -> list[int]:
        """The ids of all that live now, workers included."""
        return [process for child in [*self._children.values()] for process in child.family()]

    def health(self) -> list[Health]:
        """What each process says of itself, now that nobody asks anything else."""
        return [ask(process, self._folder) for process in self.processes()]

    def output(self) -> str:
        """What they wrote."""
        return "".join(child.output() for child in self._children.values())

    def _spawn(self, place: int) -> None:
        port, skew = self.ports[place], self.skews[place]
        command = [sys.executable, "-m", "tests.faults.server", "--url", self._url]
        command += ["--port", str(port), f"--skew={skew}", "--health", str(self._folder)]
        command += self._powers.options(place)
        if make_url(self._url).get_backend_name() == "postgresql" and place % 2:
            # The application's own choice, as servers of one application never differ in the wild;
            # but each of them is tried so in one run.
            command += ["--isolation", "REPEATABLE READ"]
        log = self._folder / f"{port}.log"
        self._children[place] = Child(
            command, log=log, folder=ROOT, environment=clean_environment()
        )


class Faults:
    """Kills servers and the database whenever such a part of the run is over."""

    def __init__(
        self, cluster: Cluster, servers: Sequence[Server], history: History, dice: random.Random
    ) -> None:
        self.servers_killed = self.databases_killed = 0
        self._cluster, self._servers, self._history, self._dice = cluster, servers, history, dice

    def work(
        self, counter: Counter, servers_at: Sequence[float], database_at: Sequence[float]
    ) -> None:
        """Do what is planned, until the run is over."""
        schedule = sorted(
            [(at, "server") for at in servers_at] + [(at, "database") for at in database_at]
        )
        for at, what in schedule:
            while counter.progress < at and not counter.over:
                time.sleep(0.005)  # then look again: clients are not to wait for us
            if counter.over:
                return
            (self._kill_server if what == "server" else self._kill_database)()

    def _kill_server(self) -> None:
        self._cluster.kill(self._dice.randrange(len(self._cluster.ports)))
        self.servers_killed += 1

    def _kill_database(self) -> None:
        pause = self._dice.uniform(0, 0.3)
        if not self._servers:
            return  # a file can't be killed
        server = self._dice.choice(self._servers)
        began = time.monotonic()
        server.kill()
        time.sleep(pause)  # it is away for as long as that
        server.start()
        self.databases_killed += 1
        # The servers take a moment to notice that it is back.
        self._history.outages.append((began, time.monotonic() + 1))
