"""What the command line led to: the settings, and the manager of the sessions that are meant."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Final

import click
from sqlalchemy import event

from myapp import features
from myapp.database import URL_SETTING, read_url
from myapp.sessions.core.lifetime import MINUTE
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.settings import SessionSettings, read_session_settings
from myapp.sessions.core.survey import Survey, survey_of
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.web.include import open_manager, with_place
from myapp.setting_table import Reading, read_table
from myapp.settings import read_application_settings

PATIENCE: Final = MINUTE
"""A question about all sessions may take longer than a request's statement."""


class Given:
    """The settings of an ini file; `ours` if they are those of this application."""

    def __init__(self, settings: dict[str, Any], prefix: str, *, ini: str, ours: bool) -> None:
        self.settings, self.prefix = settings, prefix
        self.ini, self.ours = ini, ours

    def application(self) -> Reading:
        """The application's settings; of another application's, its database. Raises SettingError.

        What another application calls `database.…` is its own affair.
        """
        if self.ours:
            return read_application_settings(self.settings, os.environ).reading
        return Reading("", {URL_SETTING.name: read_url(self.settings, os.environ)})

    def of_features(self) -> Iterator[Reading]:
        """The settings of each feature of this application. Raises SettingError."""
        for module in features.modules("settings") if self.ours else ():
            yield read_table(module.TABLE, self.settings, os.environ, owned=module.OWNED)

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
    """Whoever reads each row once gains nothing by a cache; memory stays below 100 MB."""
    connection.execute("PRAGMA cache_size=-4000")


pass_given = click.make_pass_decorator(Given)
