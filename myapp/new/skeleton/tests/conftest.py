"""The whole application on an empty database, and a visitor.

The database is a SQLite file, or the one in TEST_DATABASE_URL, whose contents are deleted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, NullPool
from webtest import TestApp

import myapp
from myapp.database import create_database_engine
from tests.browser import visitor

# <no migrations>
from tests.tables import make_tables

# </no migrations>

SETTINGS = re.compile(r"(ACCOUNTS|DATABASE|MYAPP|SESSION)_")


@pytest.fixture(scope="session", autouse=True)
def _settings_of_the_tests_alone() -> Iterator[None]:
    """A developer's DATABASE_URL would override the test's, and lead to the developer's data."""
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(SETTINGS.match, list(os.environ)):
            patch.delenv(name)
        yield


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The URL of an empty database."""
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        return f"sqlite:///{tmp_path / 'test.sqlite'}"
    engine = create_database_engine(url, poolclass=NullPool)
    there = MetaData()
    there.reflect(engine)
    there.drop_all(engine)
    return url


@pytest.fixture
def settings(database_url: str) -> dict[str, str]:
    """The settings of the application under test."""
    # <no migrations>
    make_tables(database_url)
    # </no migrations>
    return {
        "sqlalchemy.url": database_url,
        # <migrations>
        "database.migrate_on_start": "true",
        # </migrations>
        # No thread of one test goes on during the next.
        "session.sweep_interval": "off",
        # <accounts>
        "accounts.mail": "print",
        "accounts.url": "https://localhost",
        # </accounts>
    }


@pytest.fixture
def app(settings: dict[str, str]) -> Iterator[Any]:
    """The WSGI application."""
    app = myapp.main({}, **settings)
    yield app
    # <accounts>
    if "accounts" in app.registry:
        app.registry["accounts"].close()
    # </accounts>
    app.registry["dbengine"].dispose()


@pytest.fixture
def testapp(app: Any) -> TestApp:
    """A visitor without a session."""
    return visitor(app)
