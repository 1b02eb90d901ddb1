"""The store keeps the promises of its interface on the tests' database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import NullPool

from myapp.database import create_database_engine
from myapp.sessions import SessionStore, model
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import StoreContract


class TestStore(StoreContract):
    """The whole suite."""

    @pytest.fixture
    def store(self, database_url: str) -> Iterator[SessionStore]:
        """A store without sessions."""
        engine = create_database_engine(database_url, poolclass=NullPool)
        model.metadata.create_all(engine)
        store = SqlStore(database_url)
        yield store
        store.close()
