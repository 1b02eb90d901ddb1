"""Log lines for machines and for people: one feature, joined by one line in `main()`.

The ini file's `[loggers]` say what is logged and where to; this feature decides how a line looks,
and that none of them gives a token away. It must never add a handler or change a level.
"""

from __future__ import annotations

import os
from functools import partial

from pyramid.config import Configurator
from pyramid.events import ApplicationCreated
from pyramid.interfaces import IRoutesMapper

from myapp.logs.access import logging_policy
from myapp.logs.format import take_over
from myapp.logs.masking import Masking
from myapp.logs.sessions import tell
from myapp.logs.settings import LogSettings, read_log_settings
from myapp.sessions import SessionEvent, get_manager
from myapp.setting_table import note_included


def includeme(config: Configurator) -> None:
    """Format what the handlers write, and log what happens to sessions.

    Reads the settings `logs.*`. Raises SettingError for one that can't be used.
    """
    settings = read_log_settings(config.get_settings(), os.environ)
    note_included(config.registry, "myapp.logs")
    take_over(settings.format, Masking())
    config.add_subscriber(partial(_on_application_created, settings), ApplicationCreated)
    if settings.sessions:
        config.add_subscriber(tell, SessionEvent)


def _on_application_created(settings: LogSettings, event: ApplicationCreated) -> None:
    """The routes are known now, and every handler that a part of the application has added."""
    app = event.app
    mapper = app.registry.queryUtility(IRoutesMapper)
    patterns = [route.pattern for route in mapper.get_routes()] if mapper else []
    take_over(settings.format, Masking(patterns))
    if settings.access:
        record_client = get_manager(app.registry).settings.record_client
        app.execution_policy = logging_policy(app.execution_policy, record_client)
