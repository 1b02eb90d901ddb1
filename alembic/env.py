"""Tells alembic which database to migrate, and to which models.

The settings are those of an ini file, by the same rule as everywhere: environment > command line
> ini. `alembic upgrade head` reads development.ini; another file is named by
`alembic -x ini=production.ini upgrade head`, and `-x sqlalchemy.url=…` is the command line.
"""

from __future__ import annotations

import os
from pathlib import Path

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import DBAPIError

from myapp import environment, features, models
from myapp.database import (
    URL_SETTING,
    create_database_engine,
    is_read_only,
    read_pooler,
    reason_of,
    refusal_of,
)
from myapp.database_url import parse_url, refused_folder
from myapp.environment import SettingError, UnreadableIni
from myapp.migrations import Names, read_names
from myapp.models.meta import Base
from myapp.sessions import model
from myapp.setting_table import Given
from myapp.settings import read_application_settings

ROOT = Path(__file__).resolve().parent.parent


def from_settings() -> tuple[Given, str, Names]:
    """The URL of the database, what stands before it and what its tables are called.

    Raises CommandError, which alembic shows.
    """
    options = context.get_x_argument(as_dictionary=True)
    ini = options.pop("ini", None) or os.environ.get("MYAPP_INI") or str(ROOT / "development.ini")
    try:
        settings = environment.load(ini, options)
        own = read_application_settings(settings, os.environ)
        url = own.reading.given["sqlalchemy.url"]
        return url, read_pooler(settings, os.environ), read_names(settings, os.environ, own)
    except (SettingError, UnreadableIni) as error:
        raise CommandError(str(error)) from error


def target(names: Names) -> list[MetaData]:
    """What the models say."""
    return [Base.metadata, model.named(names.sessions).metadata]


def run_offline() -> None:
    """Print the SQL: `alembic upgrade head --sql`."""
    given, _, names = from_settings()
    context.configure(
        url=parse_url(given.text),
        target_metadata=target(names),
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        **names.as_options(),
    )
    with context.begin_transaction():
        context.run_migrations()


def run_on(connection: Connection, names: Names) -> None:
    """Run the migrations on a connection."""
    # SQLite can't alter a table; alembic then copies it.
    batch = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=target(names),
        render_as_batch=batch,
        **names.as_options(),
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the migrations on the caller's connection, or on one of our own."""
    called = context.config.attributes
    if "connection" in called:
        run_on(called["connection"], called["names"])
        return
    url, pooler, names = from_settings()
    engine = create_database_engine(url.text, pooler=pooler)
    with connected(engine, url) as connection:
        try:
            run_on(connection, names)
        except DBAPIError as error:
            # Of what nobody can mend in a migration, a line says as much as a traceback.
            if expected := not_allowed(error):
                raise refusal(url, expected) from error
            raise
    engine.dispose()


def not_allowed(error: DBAPIError) -> str | None:
    """What is expected if the database does not let this user migrate it."""
    if is_read_only(error.orig or error):
        return f"a database that takes changes ({reason_of(error)})"
    return refusal_of(error)


def refusal(url: Given, expected: str) -> CommandError:
    """The one line about the database's URL, which alembic shows."""
    source = url.source or "its default"
    return CommandError(str(SettingError(URL_SETTING.name, url.text, source, expected)))


def connected(engine: Engine, url: Given) -> Connection:
    """A connection. Raises CommandError if there is none to be had."""
    if refused := refused_folder(engine.url):
        raise refusal(url, refused)
    try:
        return engine.connect()
    except DBAPIError as error:
        raise refusal(url, f"a database that answers: {reason_of(error)}") from error


# Imported for their models alone.
assert models
MODELS = list(features.modules("models"))

if context.is_offline_mode():
    run_offline()
else:
    run_online()
