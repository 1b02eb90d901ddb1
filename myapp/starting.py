"""What the log says when the application starts: what runs, and with which data (C6)."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from pathlib import Path

from myapp.database_url import parse_url, sqlite_file
from myapp.environment import printable

log = logging.getLogger(__name__)


def is_new_file(url: str) -> bool:
    """Whether a database is a SQLite file that does not exist yet, and is about to be made."""
    file = sqlite_file(parse_url(url))
    return file is not None and not file.exists()


def tell_of_start(url: str, cookie_name: str, *, was_new: bool) -> None:
    """Log one line, and another one if the database is a file that was just made.

    `DATABASE_URL` misspelt leads to an empty file, and nothing else would tell.
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
        log.warning("the database was not there, and was made: %s", printable(url))
