"""The fixtures that every test may use: real databases, a tap to listen to them, a browser.

A test gets an empty database of its own; no test may see what another one wrote.
"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from harness.processes import clean_environment
from harness.servers.mariadb import MariaDB
from harness.servers.mysql import mariadb_or_mysql
from harness.servers.pgbouncer import PgBouncer
from harness.servers.postgresql import PostgreSQL
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.servers.server import Server
from harness.wire import Tap, tapped
from tests.browser.fixtures import browser as browser
from tests.browser.fixtures import context as context
from tests.browser.fixtures import page as page

Started = TypeVar("Started", bound=Server)

STOPS_WITHIN = 10.0
"""Seconds in which a sweeper that was told to stop has stopped, however busy the machine."""

DATABASES = ("sqlite", "postgresql", "mariadb")


@pytest.fixture(scope="session", autouse=True)
def _settings_of_the_tests_alone() -> Iterator[None]:
    """A developer's DATABASE_URL would win over the test's, and lead to his own data."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - clean_environment().keys():
            patch.delenv(name)
        yield


@pytest.fixture(scope="module", autouse=True)
def _no_thread_outlives_its_module() -> Iterator[None]:
    """A sweeper that goes on would write into the log of whichever test runs next."""
    before = set(threading.enumerate())
    yield
    left = [
        thread
        for thread in set(threading.enumerate()) - before
        if thread.name.startswith("session-")
    ]
    # One that was told to stop is just finishing its batch.
    for thread in left:
        thread.join(STOPS_WITHIN)
    assert not [thread for thread in left if thread.is_alive()]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running PostgreSQL server, one for each worker of the test run."""
    yield from _running(PostgreSQL)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A running MariaDB server, or MySQL where only that is; one for each worker of the run."""
    yield from _running(mariadb_or_mysql)


@pytest.fixture(scope="session")
def pgbouncer(postgresql: PostgreSQL) -> Iterator[PgBouncer]:
    """A running PgBouncer in transaction mode, with two backends for each database."""
    yield from _running(lambda: PgBouncer(postgresql))


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database; the test runs once on each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.sqlite'}"
    else:
        server: Server = request.getfixturevalue(request.param)
        with server.database() as url:
            yield url


@pytest.fixture
def tap(database_url: str) -> Iterator[Tap]:
    """A place to listen to ``database_url``; its own ``url`` is the one to connect to."""
    with tapped(database_url) as tap:
        yield tap


def _running(kind: Callable[[], Started]) -> Iterator[Started]:
    try:
        server = kind()
    except ServerMissing as missing:
        skip_or_fail(missing)
    with server:
        yield server
