"""Tells alembic which database to migrate, and what the models say.

The settings are those of an ini file, by the same rule as everywhere: environment > command line
> ini. `alembic upgrade head` reads development.ini; another file is named by
`alembic -x ini=production.ini upgrade head`, and `-x sqlalchemy.url=…` is the command line.
"""

from __future__ import annotations

import os
from pathlib import Path

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from myapp import environment, models
from myapp.database import create_database_engine, parse_url, read_pooler
from myapp.models.meta import Base
from myapp.sessions import model
from myapp.settings import read_application_settings

ROOT = Path(__file__).resolve().parent.parent
TARGET = [Base.metadata, model.metadata]


def from_settings() -> tuple[str, str]:
    """The URL of the database, and what stands before it, by the settings.

    Raises CommandError, which alembic shows.
    """
    options = context.get_x_argument(as_dictionary=True)
    ini = options.pop("ini", None) or os.environ.get("MYAPP_INI") or str(ROOT / "development.ini")
    try:
        settings = environment.load(ini, options)
        url = read_application_settings(settings, os.environ).url
        return url, read_pooler(settings, os.environ)
    except (environment.SettingError, OSError) as error:
        raise CommandError(str(error)) from error


def run_offline() -> None:
    """Print the SQL: `alembic upgrade head --sql`."""
    text, _ = from_settings()
    url = parse_url(text)
    context.configure(
        url=url, target_metadata=TARGET, literal_binds=True, dialect_opts={"paramstyle": "named"}
    )
    with context.begin_transaction():
        context.run_migrations()


def run_on(connection: Connection) -> None:
    """Run the migrations on a connection."""
    # SQLite can't alter a table; alembic then copies it.
    batch = connection.dialect.name == "sqlite"
    context.configure(connection=connection, target_metadata=TARGET, render_as_batch=batch)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the migrations: on the connection of whoever called, or on one of our own."""
    given = context.config.attributes.get("connection")
    if given is not None:
        run_on(given)
        return
    url, pooler = from_settings()
    engine = create_database_engine(url, pooler=pooler)
    with engine.connect() as connection:
        run_on(connection)
    engine.dispose()


# Imported for its models alone.
assert models

if context.is_offline_mode():
    run_offline()
else:
    run_online()
