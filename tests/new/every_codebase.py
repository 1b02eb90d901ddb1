"""Every codebase that can be made: its tests and checks pass, and it is served and used.

`make test/codebases` runs this; the file's name keeps it out of `make test`.
"""

from __future__ import annotations

import http.client
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
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
Way = tuple[str, bool, tuple[str, ...], bool]


def name(way: Way) -> str:
    """Of one combination, for people."""
    database, migrations, features, required = way
    words = [database, "migrations" if migrations else "sql", *features]
    return "-".join(words + ["required"] * required)


@pytest.fixture
def codebase(way: Way, workshop: Workshop, tmp_path: Path) -> Codebase:
    """The codebase."""
    database, migrations, features, required = way
    words = ["--database", database, "--migrations" if migrations else "--no-migrations"]
    for feature in FEATURES:
        words += ["--with" if feature in features else "--without", feature]
    words += ["--require-sessions"] * required
    return workshop.makes(tmp_path / "the_quarterly_magazine", *words)


@pytest.fixture
def database(
    way: Way, request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[str], AbstractContextManager[str]]:
    """Makes an empty database of its kind; what is given is its name where it is a file."""
    if way[0] == "sqlite":
        return lambda name: nullcontext(f"sqlite:///{tmp_path / name}.sqlite")
    server: Server = request.getfixturevalue(way[0])
    return lambda name: server.database()


# One test for each, so that several processes can share them out.
@pytest.mark.parametrize("way", WAYS, ids=name)
def test_it_is_checked_tested_and_served(
    way: Way,
    codebase: Codebase,
    database: Callable[[str], AbstractContextManager[str]],
    tmp_path: Path,
) -> None:
    """G5: form and types, with a long name; its tests on SQLite and its own database; its pages."""
    codebase.passes_its_checks()
    codebase.passes_its_tests()
    if way[0] != "sqlite":
        with database("tested") as url:
            codebase.passes_its_tests(TEST_DATABASE_URL=url)
    with database("served") as url:
        is_served(codebase, way, url, tmp_path / "served")


def is_served(codebase: Codebase, way: Way, url: str, folder: Path) -> None:
    """The pages answer, health included; without migrations, with the SQL."""
    if not way[1]:
        execute(url, codebase.text("schema.sql"))
    with codebase.server(folder, DATABASE_URL=url) as server:
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
