"""The fixtures that every test may use: real databases, a tap to listen to them, a browser.

A test gets an empty database of its own; no test may see what another one wrote.
"""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import make_url

from harness.processes import clean_environment
from harness.servers.mariadb import MariaDB
from harness.servers.mysql import mariadb_or_mysql
from harness.servers.pgbouncer import PgBouncer
from harness.servers.postgresql import PostgreSQL
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.servers.server import Server, fastest_folder
from harness.wire import Tap, tapped
from tests.browser.fixtures import browser as browser
from tests.browser.fixtures import chromium as chromium
from tests.browser.fixtures import context as context
from tests.browser.fixtures import page as page

Started = TypeVar("Started", bound=Server)

STOPS_WITHIN = 10.0
"""Seconds in which a sweeper that was told to stop has stopped, however busy the machine."""

DATABASES = ("sqlite", "postgresql", "mariadb")
STRICT_MARIADB = "mariadb-strict"
"""MariaDB as it is by itself from 11.6.2 on, for the tests where that makes a difference."""


def pytest_configure() -> None:
    """Put what pytest calls tmp_path where files of SQLite are written fastest."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(fastest_folder()))


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


@pytest.fixture(scope="module")
def cheap_collections() -> Iterator[None]:
    """For tests that call the garbage collector often: it passes over what was there before."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


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
        with database_of(request.param, request) as url:
            yield url


@pytest.fixture
def tap(database_url: str) -> Iterator[Tap]:
    """A place to listen to ``database_url``; its own ``url`` is the one to connect to."""
    with tapped(database_url) as tap:
        yield tap


@contextmanager
def database_of(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database on a server of this kind."""
    server: Server = request.getfixturevalue("mariadb" if kind == STRICT_MARIADB else kind)
    with server.database() as url:
        yield _strict(url) if kind == STRICT_MARIADB else url


def _strict(url: str) -> str:
    """A MariaDB's URL by which a transaction can't write what has changed since its snapshot."""
    if url.startswith("mysql"):
        pytest.skip("MySQL has no strict snapshots")
    command = {"init_command": "SET SESSION innodb_snapshot_isolation = ON"}
    return make_url(url).update_query_dict(command).render_as_string(hide_password=False)


def _running(kind: Callable[[], Started]) -> Iterator[Started]:
    try:
        server = kind()
    except ServerMissing as missing:
        skip_or_fail(missing)
    with server:
        yield server
