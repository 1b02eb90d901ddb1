"""The application in the servers that people run it in, with several processes and threads."""

import http.client
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from harness.servers.postgresql import PostgreSQL
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.waiting import wait_until
from harness.web_servers import KINDS, Kind, Serving, open_files, sockets_to, threads
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session

PROMPT = 30
"""Seconds. It is one on a machine at rest; gunicorn's workers take their interpreter down in good
order, 0.3 s of computing each, for which they wait while other tests compute."""

Serve = Callable[..., Serving]


class Visitor:
    """Counts up by the page of `tests.keeping`, on a connection of its own each time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookie = ""

    def counts(self, times: int) -> list[int]:
        """What the page shows after each turn."""
        return [self._count() for _ in range(times)]

    def _count(self) -> int:
        self.ask("GET", "/kept")
        self.ask("POST", "/kept", "key=fruit&value=quince")
        shown = re.search(r"times&#x27;: (\d+)", self.ask("GET", "/kept"))
        assert shown is not None
        return int(shown[1])

    def ask(self, method: str, path: str, body: str = "") -> str:
        """The answer's text."""
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": self._cookie,
            "Origin": f"http://127.0.0.1:{self._port}",
        }
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        assert answer.status in (200, 303), text
        if answer.headers["Set-Cookie"]:
            self._cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return text


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start the application in a server of this kind."""
    started: list[Serving] = []

    def start(kind: Kind, **environment: str) -> Serving:
        try:
            serving = Serving(kind, tmp_path, **environment)
        except ServerMissing as missing:
            skip_or_fail(missing)
        started.append(serving.__enter__())
        return serving

    yield start
    for serving in started:
        serving.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("name", "database_url"),
    [
        ("waitress", "mariadb"),
        ("gunicorn", "postgresql"),
        ("gunicorn-preload", "postgresql"),
        ("gunicorn-preload", "mariadb"),
        ("granian", "sqlite"),
    ],
    indirect=["database_url"],
)
def test_visitors_at_once_see_their_own_session_alone(
    name: str, database_url: str, serve: Serve
) -> None:
    """L9, W1: no connection is shared by processes or threads; expired rows go; the end is clean.

    A connection that two processes used would mix up the answers of the database. `make
    test/servers` tries each of the servers on each database.
    """
    serving = serve(KINDS[name], DATABASE_URL=database_url, SESSION_SWEEP_INTERVAL="1s")
    store = SqlStore(database_url)
    expired = a_session(expires_at=SteadyClock()() - 1)
    store.insert(expired)
    times = range(3, 9)
    with ThreadPoolExecutor(len(times)) as pool:
        counted = pool.map(lambda count: Visitor(serving.port).counts(count), times)
        assert list(counted) == [list(range(1, count + 1)) for count in times]
    wait_until(lambda: not store.load([expired.digest]), "the sweeper of a process that serves")
    store.close()
    took = serving.end()
    print(f"{name}: ended within {took:.2f} s")
    assert took < PROMPT
    assert "Traceback" not in serving.output()
    assert "Error" not in serving.output()


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.forks])
def test_the_process_that_forks_has_neither_sweeper_nor_connection(
    name: str, postgresql: PostgreSQL, serve: Serve
) -> None:
    """L9, W1: each worker has connections of its own; the sweeper is where requests are served."""
    with postgresql.database() as url:
        serving = serve(KINDS[name], DATABASE_URL=url, SESSION_SWEEP_INTERVAL="1h")
        wait_until(lambda: len(serving.workers) == 2, "both workers")
        wait_until(lambda: _all_sweep(serving), "a sweeper in each worker")
        assert threads(serving.first) == 1
        port = _port(make_url(url))
        wait_until(lambda: _all_connected(serving, port), "a connection in each worker")
        connections = sockets_to(port)
        held = [open_files(pid) & connections for pid in serving.workers]
        assert not held[0] & held[1]
        assert not open_files(serving.first) & connections


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.forks])
def test_the_process_that_forks_leaves_sqlite_to_its_workers(
    name: str, tmp_path: Path, serve: Serve
) -> None:
    """L9: SQLite forbids to carry a connection into another process."""
    serving = serve(KINDS[name])
    Visitor(serving.port).counts(1)
    database = str(tmp_path / "myapp.sqlite")
    assert any(database in open_files(pid) for pid in serving.workers)
    assert not {path for path in open_files(serving.first) if path.startswith(database)}


def _all_sweep(serving: Serving) -> bool:
    """Whether, after one visit more, each worker has a second thread beside the one that serves."""
    Visitor(serving.port).ask("GET", "/kept")
    return all(threads(pid) > 1 for pid in serving.workers)


def _all_connected(serving: Serving, port: int) -> bool:
    """Whether, after one visit more that stores something, each worker is connected to the port."""
    Visitor(serving.port).counts(1)
    connections = sockets_to(port)
    return all(open_files(pid) & connections for pid in serving.workers)


def _port(url: URL) -> int:
    assert url.port is not None
    return url.port
