"""What is looked at before the application starts, and what is logged of it (C2, C6)."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pyramid.path import DottedNameResolver
from pyramid.settings import aslist
from sqlalchemy import NullPool
from sqlalchemy.exc import DBAPIError

from myapp.database import URL_SETTING, create_database_engine, refusal_of
from myapp.database_url import parse_url, sqlite_file
from myapp.environment import SettingError, printable, source_of
from myapp.settings import ApplicationSettings

log = logging.getLogger(__name__)

_PATIENCE: Final = 3000  # milliseconds
_PACKAGE: Final = "myapp"
_RESOLVER: Final = DottedNameResolver(_PACKAGE)


class CannotStart(Exception):
    """A step before the start failed; the message is one line."""


def is_new_file(url: str) -> bool:
    """Whether a database is a SQLite file that does not exist yet, and is about to be made."""
    file = sqlite_file(parse_url(url))
    return file is not None and not file.exists()


def refuse_settings_of_others(settings: Mapping[str, Any]) -> None:
    """Raise SettingError for what Pyramid and its packages would answer with a traceback."""
    attempts = settings.get("retry.attempts") or "1"
    if not re.fullmatch(r"\s*0*[1-9][0-9]{0,8}\s*", str(attempts)):
        expected = "a whole number, at least 1"
        raise SettingError("retry.attempts", attempts, source_of(attempts), expected)
    includes = settings.get("pyramid.includes", "")
    for name in aslist(includes):
        refused = _not_included(name)
        if refused is not None:
            raise SettingError("pyramid.includes", name, source_of(includes), refused)


def _not_included(name: str) -> str | None:
    """What is expected of a name that is not there, or includes nothing; None where it can be.

    What goes wrong within such a module is for its developer to see, with its traceback.
    """
    expected = "the dotted name of a module or function that Pyramid can include"
    if not re.fullmatch(r"\.?[\w.]*\w(:[\w.]+)?", name):
        return expected
    module, _, attribute = name.partition(":")
    dotted = f"{_PACKAGE}{module}" if module.startswith(".") else module
    try:
        found = _RESOLVER.maybe_resolve(module)
        for each in filter(None, attribute.split(".")):
            found = getattr(found, each, None)
    except ModuleNotFoundError as error:
        if not f"{dotted}.".startswith(f"{error.name}."):
            raise
        return f"{expected} ({error})"
    return None if callable(getattr(found, "includeme", found)) else expected


def refuse_database(settings: ApplicationSettings) -> None:
    """Raise SettingError if the application's database answers, and refuses us for good.

    If it does not answer, that is an outage: pages that need no database are served.
    """
    engine = create_database_engine(
        settings.url,
        connect_timeout=_PATIENCE,
        # Something may accept the connection, and say nothing.
        statement_timeout=_PATIENCE,
        poolclass=NullPool,
    )
    try:
        engine.connect().close()
    except DBAPIError as error:
        if refused := refusal_of(error):
            settings.reading.refuse(URL_SETTING.name, refused)


def tell_of_start(url: str, cookie_name: str, *, was_new: bool) -> None:
    """Log one line, and another one if the database is a file that was just made.

    A misspelt `DATABASE_URL` creates an empty file, and nothing else would tell you.
    """
    program = Path(sys.argv[0]).stem or "python"
    if program.startswith("__"):
        # `python -m gunicorn`
        program = Path(sys.argv[0]).parent.name
    log.info(
        "myapp %s in %s: database %s, session cookie %s",
        version("myapp"),
        program,
        printable(url),
        cookie_name,
    )
    if was_new:
        log.warning("%s", created(url))


def created(url: str) -> str:
    """What is said of a database that was just made."""
    return f"the database did not exist and was created: {printable(url)}"
