"""Every codebase that can be made: its tests and checks pass, and it is served and used.

`make test/codebases` runs this; the file's name keeps it out of `make test`.
"""

from __future__ import annotations

import http.client
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, combinations, product
from pathlib import Path

import pytest

from harness.processes import ROOT, Pserve
from harness.servers.ports import LOOPBACK
from harness.servers.server import Server
from myapp.new.answers import DATABASES
from myapp.new.files import Files
from myapp.new.selecting import features_in
from tests.new.codebases import Codebase, Workshop
from tests.test_migrations import execute as on_a_server

MAIN: Files = {
    path.relative_to(ROOT).as_posix(): path.read_bytes()
    for path in (ROOT / "myapp").glob("**/__init__.py")
}
FEATURES = features_in(MAIN)
CHOSEN = [*chain.from_iterable(combinations(FEATURES, count) for count in range(len(FEATURES) + 1))]
WAYS = [*product(DATABASES, (True, False), CHOSEN, (False, True))]


def name(way: tuple[str, bool, tuple[str, ...], bool]) -> str:
    """Of one combination, for people."""
    database, migrations, features, required = way
    words = [database, "migrations" if migrations else "sql", *features]
    return "-".join(words + ["required"] * required)


@pytest.fixture(params=WAYS, ids=name, scope="module")
def way(request: pytest.FixtureRequest) -> tuple[str, bool, tuple[str, ...], bool]:
    """One combination."""
    way: tuple[str, bool, tuple[str, ...], bool] = request.param
    return way


@pytest.fixture(scope="module")
def codebase(
    way: tuple[str, bool, tuple[str, ...], bool],
    workshop: Workshop,
    tmp_path_factory: pytest.TempPathFactory,
) -> Codebase:
    """The codebase."""
    database, migrations, features, required = way
    words = ["--database", database, "--migrations" if migrations else "--no-migrations"]
    for feature in FEATURES:
        words += ["--with" if feature in features else "--without", feature]
    words += ["--require-sessions"] * required
    return workshop.makes(tmp_path_factory.mktemp("made") / "the_quarterly_magazine", *words)


@pytest.fixture
def url(
    way: tuple[str, bool, tuple[str, ...], bool], request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """An empty database of its kind."""
    if way[0] == "sqlite":
        yield f"sqlite:///{tmp_path / 'own.sqlite'}"
    else:
        server: Server = request.getfixturevalue(way[0])
        with server.database() as url:
            yield url


def test_its_checks_pass(codebase: Codebase) -> None:
    """G5: form, mistakes and types, with a long name."""
    codebase.passes_its_checks()


def test_its_tests_pass(codebase: Codebase, url: str) -> None:
    """G5: on SQLite, and on its own database."""
    codebase.passes_its_tests()
    if not url.startswith("sqlite"):
        codebase.passes_its_tests(TEST_DATABASE_URL=url)


def test_it_is_served_and_used(
    codebase: Codebase, way: tuple[str, bool, tuple[str, ...], bool], url: str, tmp_path: Path
) -> None:
    """G5: each page that the first one links, health included; without migrations, with the SQL."""
    if not way[1]:
        execute(url, codebase.text("schema.sql"))
    with codebase.server(tmp_path / "served", DATABASE_URL=url) as server:
        assert ask(server, "/health") == 200
        assert ask(server, "/") == 200
        for feature, path in {"accounts": "/signup", "trial": "/try"}.items():
            assert ask(server, path) == (200 if feature in way[2] else 404)
        assert "Traceback" not in server.output()


def execute(url: str, sql: str) -> None:
    """Run statements."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(sql)
        return
    on_a_server(url, sql)


def ask(server: Pserve, path: str) -> int:
    """Status of a page."""
    with closing(http.client.HTTPConnection(LOOPBACK, server.port, timeout=60)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status
