"""The contract suite for stores, run over each store that is shipped."""

from collections.abc import Iterator

import pytest

from myapp.database import create_database_engine
from myapp.sessions.memory_store import MemoryStore
from myapp.sessions.model import metadata
from myapp.sessions.sql_store import SqlStore
from myapp.sessions.store import SessionStore
from myapp.sessions.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> SessionStore:
        return MemoryStore()


class TestSqlStore(StoreContract):
    @pytest.fixture
    def store(self, database_url: str) -> Iterator[SessionStore]:
        engine = create_database_engine(database_url)
        metadata.create_all(engine)
        engine.dispose()
        store = SqlStore(database_url)
        yield store
        store.close()
