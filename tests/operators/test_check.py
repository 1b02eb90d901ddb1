"""`check`: each thing that can be wrong is a line of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import NullPool, make_url

from harness.servers.mariadb import MariaDB
from harness.servers.pgbouncer import PgBouncer
from harness.servers.postgresql import PostgreSQL
from myapp.database import create_database_engine
from myapp.scripts.sessions.check import PILE
from myapp.sessions.sql.model import table
from myapp.sessions.testing.contract import a_session
from tests.operators.conftest import DAY, Shop
from tests.test_commands import WRONG_CLOCK

NAMES = ["connection", "schema", "rights", "clock", "pooler", "backlog"]


def checked(shop: Shop, status: int, **environment: str) -> dict[str, tuple[str, str]]:
    """Result and evidence of each check."""
    result = shop.run("check", "--json", **environment)
    assert result.exit_code == status, result.output
    lines = json.loads(result.stdout)
    return {line["check"]: (line["result"], line["evidence"]) for line in lines}


def test_all_is_well(shop: Shop) -> None:
    """O2: and nothing is left of what was tried."""
    found = checked(shop, 0)
    assert list(found) == NAMES
    assert {result for result, _ in found.values()} == {"ok"}
    assert shop.store.count() == 0


def test_all_is_well_with_another_store(any_shop: Shop) -> None:
    """O2, I10: it is asked as far as it can be."""
    assert {result for result, _ in checked(any_shop, 0).values()} == {"ok"}


def test_a_missing_table_and_an_outage_end_the_questions(shop: Shop, tmp_path: Path) -> None:
    """O2: what comes later is not asked."""
    table.drop(shop.store.engine)
    found = checked(shop, 1)
    assert [result for result, _ in found.values()] == ["ok", "failed", *["not asked"] * 4]
    assert "there is no table 'sessions'" in found["schema"][1]
    down = checked(shop, 1, SESSION_URL="postgresql://u@127.0.0.1:1/d")
    assert [result for result, _ in down.values()] == ["failed", *["not asked"] * 5]


def test_a_missing_right_is_named(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """O2: in the database's words."""
    with postgresql.database() as url:
        shop = Shop(url, tmp_path / "shop.ini")
        with shop.store.engine.connect() as connection:
            connection.exec_driver_sql("DROP ROLE IF EXISTS reader")
            connection.exec_driver_sql("CREATE ROLE reader LOGIN")
            connection.exec_driver_sql("GRANT SELECT, INSERT, UPDATE ON sessions TO reader")
        reader = make_url(url).set(username="reader").render_as_string()
        found = checked(shop, 1, SESSION_URL=reader)
        assert (found["schema"][0], found["rights"][0]) == ("ok", "failed")
        assert "permission denied for table sessions" in found["rights"][1]
        assert shop.store.count() == 0
        with shop.store.engine.connect() as connection:
            connection.exec_driver_sql("DROP OWNED BY reader")
            connection.exec_driver_sql("DROP ROLE reader")
        shop.store.close()


def test_a_missing_right_is_named_on_mariadb(mariadb: MariaDB, tmp_path: Path) -> None:
    """O2: there too."""
    with mariadb.database() as url:
        shop = Shop(url, tmp_path / "shop.ini")
        name = make_url(url).database
        with shop.store.engine.connect() as connection:
            connection.exec_driver_sql("CREATE OR REPLACE USER reader@'127.0.0.1'")
            connection.exec_driver_sql(f"GRANT SELECT ON `{name}`.* TO reader@'127.0.0.1'")
        reader = make_url(url).set(username="reader").render_as_string()
        found = checked(shop, 1, SESSION_URL=reader)
        assert "INSERT command denied" in found["rights"][1]
        with shop.store.engine.connect() as connection:
            connection.exec_driver_sql("DROP USER reader@'127.0.0.1'")
        shop.store.close()


def test_a_contradicted_clock_is_told(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """O2, W2: by how much."""
    with postgresql.database() as url:
        shop = Shop(url, tmp_path / "shop.ini")
        engine = create_database_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in WRONG_CLOCK:
                text = statement.format(difference="1 hour", name=engine.url.database)
                connection.exec_driver_sql(text)
        result, words = checked(shop, 1)["clock"]
        assert result == "failed"
        assert words.startswith(("3600.", "3599."))
        shop.store.close()


def test_a_pooler_is_told_with_the_limit_behind_it(pgbouncer: PgBouncer, tmp_path: Path) -> None:
    """O2, L12: without a limit of the server's own it is a failure."""
    with pgbouncer.database() as url:
        shop = Shop(url, tmp_path / "shop.ini")
        result, words = checked(shop, 1)["pooler"]
        assert result == "failed"
        assert "ALTER ROLE … SET statement_timeout" in words
        shop.store.close()


@pytest.mark.parametrize(("number", "status"), [(PILE, 0), (PILE + 1, 1)])
def test_rows_that_pile_up_are_told(shop: Shop, number: int, status: int) -> None:
    """O2: nothing sweeps."""
    dead = shop.now - DAY
    shop.has_rows([a_session(expires_at=dead, deadline=dead) for _ in range(number)])
    assert checked(shop, status)["backlog"][0] == ("failed" if status else "ok")
