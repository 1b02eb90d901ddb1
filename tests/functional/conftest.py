"""The whole application on a database of its own, and somebody to visit it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from webtest import TestApp

import myapp
from tests.functional.visitors import visitor
from tests.needed import NEEDED, end


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """The settings of the application under test."""
    return {
        "sqlalchemy.url": f"sqlite:///{tmp_path / 'myapp.sqlite'}",
        "database.migrate_on_start": "true",
        # No thread of one test goes on during the next.
        "session.sweep_interval": "off",
        **NEEDED,
    }


@pytest.fixture
def app(settings: dict[str, str]) -> Iterator[Any]:
    """The WSGI application."""
    app = myapp.main({}, **settings)
    yield app
    end(app)


@pytest.fixture
def testapp(app: Any) -> TestApp:
    """A visitor without a session."""
    return visitor(app)
