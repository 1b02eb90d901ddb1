"""The contract suite for stores, run over each store that is shipped."""

from collections.abc import Iterator

import pytest

from harness.servers.mariadb import MariaDB
from myapp.database import create_database_engine
from myapp.sessions.core.store import SessionStore
from myapp.sessions.sql.model import metadata
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import StoreContract
from myapp.sessions.testing.memory_store import MemoryStore
from tests.sessions.app import create_table


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


class TestSqlStoreByMysqlclient(StoreContract):
    """C: the other driver for MariaDB and MySQL, where it is installed."""

    @pytest.fixture
    def store(self, mariadb: MariaDB) -> Iterator[SessionStore]:
        pytest.importorskip("MySQLdb", reason="mysqlclient is not installed")
        with mariadb.database() as by_pymysql:
            url = by_pymysql.replace("+pymysql", "+mysqldb")
            create_table(url)
            store = SqlStore(url)
            assert store.engine.dialect.driver == "mysqldb"
            yield store
            store.close()
