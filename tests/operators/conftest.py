"""A shop with sessions, and an operator who types commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from myapp.scripts.sessions import cli
from myapp.sessions import SessionManager, make_manager
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.core.store import StoredSession
from myapp.sessions.sql.model import table
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session
from tests.command_line import called
from tests.sessions.app import create_table

DAY = 24 * 3_600_000
STORES = ("ours", "another")
"""The store of a database, and one of one's own, which has nothing but the methods it must."""


class Plain:
    """A SessionStore that hides what SqlStore is besides."""

    def __init__(self, url: str) -> None:
        self._store = SqlStore(url)

    def __getattr__(self, name: str) -> Any:
        if name in ("survey", "now", "count", "count_due"):
            raise AttributeError(name)
        return getattr(self._store, name)


def plain_store(settings: Any) -> Plain:
    """What `session.store` names in these tests."""
    return Plain(settings.url)


class Shop:
    """Sessions in a database, and the commands for them."""

    def __init__(self, url: str, ini: Path, *, store: str = "ours") -> None:
        create_table(url)
        self.url, self.ini, self._kind = url, ini, store
        ini.write_text("[app:main]\nuse = call:tests.foreign_app:main\nsession.idle_timeout = 1d\n")
        self.store = SqlStore(url)
        self.now = SteadyClock()()

    @property
    def manager(self) -> SessionManager:
        """Makes and opens sessions as the shop does."""
        settings = read_session_settings({"session.idle_timeout": "1d"}, {})
        return make_manager(settings, self.store)

    def run(self, *words: str, **environment: str) -> Result:
        """What `myapp-sessions INI …` does."""
        given = {"SESSION_URL": self.url} | environment
        if self._kind == "another":
            given["SESSION_STORE"] = "tests.operators.conftest:plain_store"
        return called(cli, self.ini, *words, environment=given)

    def says(self, *words: str, status: int = 0) -> str:
        """What it says on standard output."""
        result = self.run(*words)
        assert result.exit_code == status, result.output
        return result.stdout

    def a_row(self, *, age: int = 0, idle: int = 0, **fields: Any) -> StoredSession:
        """A session of an age, seen so long ago."""
        return a_session(
            created_at=self.now - age,
            seen_at=self.now - idle,
            deadline=self.now + 30 * DAY,
            expires_at=self.now + 30 * DAY,
            manager="session",
            **fields,
        )

    def has(self, **fields: Any) -> str:
        """Store such a session; its handle."""
        row = self.a_row(**fields)
        self.store.insert(row)
        return str(row.handle)

    def has_rows(self, rows: Sequence[StoredSession]) -> None:
        """Store many at once."""
        names = StoredSession.__struct_fields__
        values = [
            {name: getattr(row, name) for name in names} | {"sweep_at": row.expires_at}
            for row in rows
        ]
        with self.store.engine.connect() as connection:
            connection.execute(table.insert(), values)

    def signed_in(self, user_id: str = "ann", **values: Any) -> tuple[str, str]:
        """Sign a user in. Token and handle."""
        with self.manager.session() as session:
            session.sign_in(user_id)
            session.update(values)
        return str(session.token), str(session.handle)

    def rows(self) -> list[StoredSession]:
        """All that are no markers."""
        return list(self.store.iterate("session"))


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop on each database."""
    shop = Shop(database_url, tmp_path / "shop.ini")
    yield shop
    shop.store.close()


@pytest.fixture(params=STORES)
def any_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop on SQLite, by our store and by another one."""
    shop = Shop(f"sqlite:///{tmp_path}/any.sqlite", tmp_path / "shop.ini", store=request.param)
    yield shop
    shop.store.close()


@pytest.fixture
def file_shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with a SQLite file."""
    shop = Shop(f"sqlite:///{tmp_path}/shop.sqlite", tmp_path / "shop.ini")
    yield shop
    shop.store.close()
