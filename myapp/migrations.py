"""Applies the migrations of the `alembic` folder when the application starts.

Only where `database.migrate_on_start` says so. Several workers may start at once: each database
has a lock of its own under which one migrates and the others find the work done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from myapp.database import create_database_engine

# Any number serves, so long as nothing else in the database uses it.
_LOCK: Final = 7_305_816_249

# Seconds to wait for another process's migrations.
_PATIENCE: Final = 600

_FOLDER: Final = Path(__file__).resolve().parent.parent / "alembic"


class MigrationError(Exception):
    """The migrations could not be applied; the message is one line."""


def upgrade(url: str, revision: str = "head") -> None:
    """Bring a database up to `revision`. Raises MigrationError."""
    if not _FOLDER.is_dir():
        raise MigrationError(f"database.migrate_on_start: there are no migrations in {_FOLDER}")
    engine = create_database_engine(url)
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    try:
        with engine.connect() as connection, _only_one(connection):
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except (SQLAlchemyError, CommandError) as error:
        # A CommandError: the database is at a revision that this code does not know, say.
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise MigrationError(f"the database could not be migrated: {reason}") from error
    finally:
        engine.dispose()


@contextmanager
def _only_one(connection: Connection) -> Iterator[None]:
    """Hold the database's lock for migrations; commit what was done under it."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        # The one write lock of the file: taken before the first look at what is there.
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_PATIENCE * 1000}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        connection.commit()
        return
    take, release = _LOCKS["postgresql" if dialect == "postgresql" else "mysql"]
    # PostgreSQL waits for as long as it takes; the others say 1 if it is ours.
    if connection.execute(take).scalar() == 0:
        raise MigrationError(f"another process has been migrating for {_PATIENCE} seconds")
    connection.commit()
    try:
        yield
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(release)
        connection.commit()


_LOCKS: Final = {
    "postgresql": (
        select(func.pg_advisory_lock(_LOCK)),
        select(func.pg_advisory_unlock(_LOCK)),
    ),
    "mysql": (
        select(func.get_lock(f"myapp-migrations-{_LOCK}", _PATIENCE)),
        select(func.release_lock(f"myapp-migrations-{_LOCK}")),
    ),
}
