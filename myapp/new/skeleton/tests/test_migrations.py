"""The migrations lead to the tables of the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool

from myapp.database import create_database_engine
from myapp.migrations import Names

FOLDER = Path(__file__).resolve().parent.parent / "alembic"


@pytest.fixture
def migrated(database_url: str) -> Iterator[Config]:
    """An empty database, brought up to date."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    engine = create_database_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes.update(connection=connection, names=Names())
        command.upgrade(config, "head")
        yield config
        connection.commit()


def test_no_migration_is_missing(migrated: Config) -> None:
    """If one is missing, `make migrations/new` writes it."""
    command.check(migrated)


def test_each_migration_can_be_taken_back(migrated: Config) -> None:
    """Down to nothing, and up again."""
    command.downgrade(migrated, "base")
    command.upgrade(migrated, "head")
