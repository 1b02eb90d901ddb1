"""What the command line led to: the settings, and the manager of the sessions that are meant."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cached_property
from types import ModuleType
from typing import Any, Final

import click
from sqlalchemy import event

from myapp import environment
from myapp.database import URL_SETTING, read_url
from myapp.environment import Described, SettingError
from myapp.scripts.sessions.codebase import Codebase, codebase_of, module_of
from myapp.scripts.sessions.loaded import Loaded, loaded
from myapp.scripts.sessions.output import one_line
from myapp.sessions.core.lifetime import MINUTE
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.settings import SessionSettings, read_session_settings
from myapp.sessions.core.survey import Survey, survey_of
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.web.include import open_manager, with_place
from myapp.setting_table import Reading, read_table

PATIENCE: Final = MINUTE
"""A question about all sessions may take longer than a request's statement."""


class Given:
    """The settings of an application in an ini file, and what is known of the application."""

    def __init__(self, described: Described, prefix: str, *, ini: str) -> None:
        self.described, self.prefix, self.ini = described, prefix, ini
        context = described.context
        self.settings = environment.merge(context.local_conf, context.global_conf)
        self.codebase: Codebase | None = codebase_of(context.object)
        """None: the application only includes our sessions."""

    @cached_property
    def included(self) -> Sequence[str]:
        """The packages of its features that have settings or rules; of a codebase all that are
        there, until the application tells.
        """
        return self.codebase.features() if self.codebase else ()

    @contextmanager
    def loaded(self) -> Iterator[Loaded]:
        """The application itself; settings and features are from here on as it has them.

        Where it does not start, they are those of the ini file.
        """
        with loaded(self.described) as application:
            if application.registry is not None:
                self.settings = self._with_sources(application.settings)
                self.included = self._included_in(application)
            yield application

    def _included_in(self, application: Loaded) -> Sequence[str]:
        """What a loaded application includes: a feature of a codebase need not say so itself.

        Where it does not start, nobody can tell, and each feature of its codebase counts.
        """
        silent = [
            package
            for package in (self.codebase.features() if self.codebase else ())
            if application.failure is not None or application.has_included(package)
        ]
        return [*dict.fromkeys((*application.included, *silent))]

    def _with_sources(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a loaded application; what is as in the ini file remembers that."""
        own = self.settings
        return {
            name: own[name] if name in own and str(own[name]) == str(value) else value
            for name, value in settings.items()
        }

    def application(self) -> Reading:
        """The application's settings; of another application's, its database. Raises SettingError.

        What another application calls `database.…` is its own affair.
        """
        if self.codebase is not None:
            return self.codebase.settings(self.settings)
        return Reading("", {URL_SETTING.name: read_url(self.settings, os.environ)})

    def of_features(self) -> Iterator[tuple[str, Reading]]:
        """The settings of each feature that has some, by its package. Raises SettingError, and
        click's one line where its table is not one.
        """
        for package in self.included:
            try:
                reading = self._of_feature(module_of(package, "settings"))
            except SettingError:
                raise
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                raise one_line(f"the settings of {package} can't be read: {why}") from error
            if reading is not None:
                yield package, reading

    def _of_feature(self, module: ModuleType | None) -> Reading | None:
        table = getattr(module, "TABLE", None)
        if table is None:
            return None
        prefix, owned = getattr(module, "PREFIX", ""), getattr(module, "OWNED", ())
        return read_table(table, self.settings, os.environ, prefix=prefix, owned=owned)

    def parsed(self) -> SessionSettings:
        """The manager's settings, with the database they lead to, unless they name a store.

        Raises SettingError.
        """
        own = self._manager(self.prefix)
        if own.store is not None:
            return own
        # Read once, since what looks misspelt is warned of each time.
        first = own if self.prefix == "session." else self._manager("session.")
        return with_place(own, first, self.settings)

    def _manager(self, prefix: str) -> SessionSettings:
        name = prefix.rstrip(".").replace(".", "_")
        return read_session_settings(self.settings, os.environ, name=name, prefix=prefix)

    @contextmanager
    def manager(self) -> Iterator[SessionManager]:
        """The manager of the sessions, whose store was looked at and works. Raises SessionError."""
        parsed = self.parsed()
        patient = replace(parsed, statement_timeout=max(parsed.statement_timeout, PATIENCE))
        with _opened(patient) as manager:
            manager.store.check()
            yield manager

    def as_it_is(self) -> AbstractContextManager[SessionManager]:
        """The manager with its own time limits, whether its store works or not."""
        return _opened(self.parsed())

    @contextmanager
    def surveyed(self) -> Iterator[tuple[SessionManager, Survey]]:
        """The manager, and what answers about all of its sessions."""
        with self.manager() as manager:
            yield manager, survey_of(manager.store, manager.name)


@contextmanager
def _opened(settings: SessionSettings) -> Iterator[SessionManager]:
    manager = open_manager(settings)
    if isinstance(manager.store, SqlStore) and manager.store.engine.dialect.name == "sqlite":
        event.listen(manager.store.engine, "connect", _cache_little)
    try:
        yield manager
    finally:
        manager.store.close()


def _cache_little(connection: sqlite3.Connection, record: object) -> None:
    """A cache does not help to read each row once; without it, memory stays below 100 MB."""
    connection.execute("PRAGMA cache_size=-4000")


pass_given = click.make_pass_decorator(Given)
