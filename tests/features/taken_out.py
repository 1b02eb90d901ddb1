"""What is left when features are taken out: it starts, and its tests pass.

Its name keeps it out of `make test`; `make test/features` runs it. With accounts goes all that
docs/how-to/accounts.md has deleted; the trial pages have nothing but their folders.
"""

from __future__ import annotations

import http.client
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Final

import pytest

from harness.processes import WORKERS, Pserve
from harness.servers.ports import LOOPBACK
from tests.features import copies
from tests.own_application import HOW_TO, block

ACCOUNTS: Final = ("/signup", "/login", "/account", "/account/devices", "/restricted", "/dev/mail")
PAGES: Final = {"accounts": ACCOUNTS, "trial": ("/try",)}

WAYS: Final = (("accounts",), ("trial",), ("accounts", "trial", "logs", "metrics"))


@pytest.fixture(scope="module", params=WAYS, ids="+".join)
def features(request: pytest.FixtureRequest) -> Sequence[str]:
    """What is taken out."""
    names: Sequence[str] = request.param
    return names


@pytest.fixture(scope="module")
def copy(features: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without these features.

    Alone, accounts leave their settings and requirements behind, which do no harm.
    """
    copy = copies.copy_without(features, tmp_path_factory.mktemp("without"))
    if features == WAYS[-1]:
        copies.take_out_the_rest_of_accounts(copy)
    copies.describe(copy)
    return copy


@pytest.fixture
def server(copy: Path, tmp_path: Path) -> Iterator[Pserve]:
    """The copy's application."""
    environment = copies.environment(copy)
    ini = copy / "development.ini"
    with Pserve(ini, tmp_path, environment=environment, started_in=copy) as server:
        yield server


def ask(server: Pserve, path: str) -> tuple[int, str]:
    """Status and text of a page."""
    with closing(http.client.HTTPConnection(LOOPBACK, server.port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_the_application_runs(features: Sequence[str], server: Pserve) -> None:
    """Its pages are there, with links that lead somewhere, and those of the feature are not."""
    status, home = ask(server, "/")
    links = re.findall(r"(?:href|src|action)=\"(/[^\"]*)\"", home)
    assert links
    statuses = {path: ask(server, path)[0] for path in ("/health", *links)}
    assert {status, *statuses.values()} == {200}, statuses
    for path in chain.from_iterable(PAGES.get(feature, ()) for feature in features):
        assert ask(server, path)[0] == 404, path
    for path in chain.from_iterable(PAGES[left] for left in PAGES.keys() - set(features)):
        assert ask(server, path)[0] in (200, 303), path
    assert not re.search("ERROR|Traceback", server.output())


def test_its_tests_pass(copy: Path) -> None:
    """All that a feature could break, on every database."""
    shown = copies.run(copy, "pytest", "-q", "-n", WORKERS, *copies.test_files(copy))
    print(shown.splitlines()[-1])


def test_the_documented_migration_drops_the_tables(features: Sequence[str], copy: Path) -> None:
    """The application starts with it, and no other table has gone."""
    if "accounts" not in features:
        pytest.skip("the trial pages have no tables")
    copies.run(copy, "alembic", "upgrade", "head")
    before = tables(copy)
    assert "No new upgrade operations" in copies.run(copy, "alembic", "check")
    copies.run(copy, "alembic", "revision", "--autogenerate", "-m", "drop accounts")
    (written,) = (copy / "alembic" / "versions").glob("*_drop_accounts.py")
    text, count = re.subn(
        r"def upgrade\(\).*?(?=\n\n\ndef )", upgrade(), written.read_text(), flags=re.S
    )
    assert count == 1
    written.write_text(text)
    copies.run(copy, "alembic", "upgrade", "head")
    gone = before - tables(copy)
    assert len(gone) == 7
    assert {name for name in before if name.startswith("account_")} == gone - {"users"}
    copies.run(copy, "alembic", "check")


def upgrade() -> str:
    """The function of the page."""
    return block(HOW_TO / "accounts.md", "def upgrade").partition("\n\n\n")[2].rstrip()


def tables(copy: Path) -> set[str]:
    """The tables of the copy's database."""
    with closing(sqlite3.connect(copy / "myapp.sqlite")) as connection:
        return {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
