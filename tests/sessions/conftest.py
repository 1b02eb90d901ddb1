"""Fixtures for the tests of the session package: applications that close what they opened."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sessions.app import App, View, create_table
from tests.sessions.views import Heard

MakeApp = Callable[..., App]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database with the sessions table."""
    url = f"sqlite:///{tmp_path / 'sessions.sqlite'}"
    create_table(url)
    return url


@pytest.fixture
def make_app(sqlite_url: str) -> Iterator[MakeApp]:
    """A maker of small applications: `make_app({"set": view}, lifetime="3h")`."""
    made = []

    def make(views: dict[str, View], *, url: str = sqlite_url, **options: Any) -> App:
        app = App(url, views, **options)
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.fixture
def heard() -> Heard:
    return Heard()
