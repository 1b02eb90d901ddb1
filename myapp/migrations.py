"""Applies the migrations of the `alembic` folder when the application starts.

Only where `database.migrate_on_start` says so. Several workers may start at once: each database
has a lock of its own under which one migrates and the others find the work done.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from myapp import features
from myapp.database import create_database_engine, read_pooler
from myapp.database_url import parse_url
from myapp.models.meta import Base
from myapp.pooler import AUTO
from myapp.sessions.core.settings import TABLE_SETTING
from myapp.sessions.sql.model import named, refused_name
from myapp.setting_table import Reading, read_setting
from myapp.settings import VERSION_TABLE_SETTING, ApplicationSettings
from myapp.starting import CannotStart, refuse_database

# Any number will do as long as nothing else in the database uses it.
_LOCK: Final = 7_305_816_249

# Seconds to wait for another process's migrations, and between two looks.
_PATIENCE: Final = 600
_PAUSE: Final = 0.2

# The settings of the first session manager, whose table the migrations make.
_SESSION: Final = "session."

_HERE: Final = Path(__file__).resolve().parent


def _folder() -> Path:
    """Where the migrations are: beside the package in the project, within it when installed.

    Beside an installed package lies the library that is called alembic, too.
    """
    beside = _HERE.parent / "alembic"
    return beside if (beside / "versions").is_dir() else _HERE / "alembic"


class MigrationError(CannotStart):
    """The migrations could not be applied; the message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The settings `session.table` and `database.version_table`."""

    sessions: str = TABLE_SETTING.default
    versions: str = VERSION_TABLE_SETTING.default

    def as_options(self) -> dict[str, Any]:
        """Those of alembic's `context.configure`; the migrations read `sessions_table`."""
        return {
            "include_object": _has_a_model,
            "version_table": self.versions,
            "sessions_table": named(self.sessions),
            "include_schemas": "." in self.sessions,
            "include_name": partial(_is_looked_at, self.sessions.rpartition(".")[0]),
            "render_item": _with_imports,
        }


def _is_looked_at(schema: str, name: str | None, kind: str, parents: object) -> bool:
    """Only the connection's schema, and that of the sessions, are compared with the models."""
    return kind != "schema" or name in (None, schema)


def _with_imports(kind: str, thing: Any, writer: Any) -> Literal[False]:
    """Let a new migration import the types that alembic only names: those of a project's own, and
    those within others, as in `postgresql.JSONB(astext_type=Text())`.

    False: alembic writes the type itself. What turns out not to be needed is taken out by ruff.
    """
    if kind == "type":
        module = type(thing).__module__
        if not module.startswith("sqlalchemy."):
            writer.imports.add(f"import {module}")
        within = re.findall(r"\b[A-Z]\w*(?=\()", repr(thing).partition("(")[2])
        names = {name for name in within if hasattr(sqlalchemy, name)}
        writer.imports.update(f"from sqlalchemy import {name}" for name in names)
    return False


def _has_a_model(thing: object, name: str, kind: str, reflected: bool, model: object) -> bool:
    """Tables that no model knows are another application's, or a feature's that was taken out: what
    drops them is written by hand.
    """
    return not (kind == "table" and reflected and model is None)


def read_names(
    settings: Mapping[str, Any], environ: Mapping[str, str], application: ApplicationSettings
) -> Names:
    """What the tables are called. Raises SettingError."""
    url, taken = parse_url(application.url), _names_of_models()
    versions = application.version_table
    refused = refused_name(versions, url) or _refused_if(versions.lower() in taken)
    if refused is not None:
        application.reading.refuse(VERSION_TABLE_SETTING.name, refused)
    given = read_setting(TABLE_SETTING, settings, environ, _SESSION)
    reading = Reading(_SESSION, {TABLE_SETTING.name: given})
    refused = refused_name(given.value, url) or _refused_if(given.value.lower() in taken)
    if given.value.lower() == versions.lower():
        refused = "a name other than that of database.version_table"
    if refused is not None:
        reading.refuse(TABLE_SETTING.name, refused)
    return Names(sessions=given.value, versions=versions)


def _names_of_models() -> set[str]:
    """What the application calls its other tables; not every database tells capitals apart."""
    # Imported for their models alone.
    for _ in features.modules("models"):
        pass
    return {name.lower() for name in Base.metadata.tables}


def _refused_if(is_taken: bool) -> str | None:
    return "a name that no other table of this application has" if is_taken else None


_DEFAULT_NAMES: Final = Names()


def migrate_if_set(settings: Mapping[str, Any], application: ApplicationSettings) -> None:
    """Bring the database up to date if `database.migrate_on_start` is on.

    Raises MigrationError, and SettingError if the database refuses the application.
    """
    if application.migrate_on_start:
        refuse_database(application)
        pooler = read_pooler(settings, os.environ)
        names = read_names(settings, os.environ, application)
        upgrade(application.url, pooler=pooler, names=names)


def upgrade(
    url: str, revision: str = "head", *, pooler: str = AUTO, names: Names = _DEFAULT_NAMES
) -> None:
    """Bring a database up to `revision`; `pooler` is the setting. Raises MigrationError."""
    folder = _folder()
    if not (folder / "versions").is_dir():
        raise MigrationError(f"database.migrate_on_start: there are no migrations in {folder}")
    engine = create_database_engine(url, pooler=pooler)
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    try:
        with engine.connect() as connection, _only_one(connection):
            config.attributes.update(connection=connection, names=names)
            command.upgrade(config, revision)
    except (SQLAlchemyError, CommandError) as error:
        # A CommandError: for example, the database is at a revision that this code does not know.
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
    if dialect == "postgresql":
        with _alone(connection.engine):
            yield
            connection.commit()
        return
    if connection.execute(_TAKE).scalar() == 0:
        raise _still_migrating()
    connection.commit()
    try:
        yield
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(_RELEASE)
        connection.commit()


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Hold PostgreSQL's lock for migrations in a transaction of its own, on another connection.

    Not a session's lock, which behind a pooler would stay with a backend that others get; nor the
    migrations' own transaction, which some of them have to leave (CREATE INDEX CONCURRENTLY).
    """
    with engine.connect() as holder:
        _await_lock(holder)
        # It has nothing to say while the others work.
        holder.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield


def _await_lock(holder: Connection) -> None:
    # Asked again and again: who waited within a transaction would keep one of a pooler's few
    # backends from whoever has the lock and needs another one.
    until = time.monotonic() + _PATIENCE
    while not holder.execute(_TRY).scalar():
        holder.rollback()
        if time.monotonic() > until:
            raise _still_migrating()
        time.sleep(_PAUSE)


def _still_migrating() -> MigrationError:
    return MigrationError(f"another process has been migrating for {_PATIENCE} seconds")


_TRY: Final = select(func.pg_try_advisory_xact_lock(_LOCK))
_TAKE: Final = select(func.get_lock(f"myapp-migrations-{_LOCK}", _PATIENCE))
_RELEASE: Final = select(func.release_lock(f"myapp-migrations-{_LOCK}"))
