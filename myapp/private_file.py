"""Creates SQLite files that only their owner can read, since they hold sessions (R6)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from sqlalchemy import Engine, event
from sqlalchemy.engine import Dialect

_PRIVATE: Final = 0o600


def make_private(dialect: object, record: object, arguments: Sequence[Any], options: Any) -> None:
    """Before SQLite connects: create the file if it is missing, so that nobody else can read it.

    An empty file is an empty database, and the files that SQLite puts beside it get its mode. An
    existing file is left unchanged; if something goes wrong here, SQLite will report it.
    """
    path = _path(str(arguments[0]), options) if os.name == "posix" else None
    if path is None:
        return
    with suppress(OSError):
        # Where a link leads, which may be a file that is still to be made.
        made = os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE)
        # Whatever the process's umask has left of it.
        os.fchmod(made, _PRIVATE)
        os.close(made)


@contextmanager
def making_none() -> Iterator[None]:
    """If a SQLite file is missing, let connecting fail as in an outage, for every engine.

    SQLite itself would create an empty one, even for a command that only wants to look.
    """
    event.listen(Engine, "do_connect", _refuse_missing)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", _refuse_missing)


def _refuse_missing(
    dialect: Dialect, record: object, arguments: Sequence[Any], options: Any
) -> None:
    path = _path(str(arguments[0]), options) if dialect.name == "sqlite" else None
    if path and path != ":memory:" and not os.path.exists(path):
        raise sqlite3.OperationalError(f"there is no database {path}")


def _path(name: str, options: Mapping[str, Any]) -> str | None:
    """The file that SQLite is going to open, or None if it would not make it."""
    if not (options.get("uri") and name.startswith("file:")):
        return name
    path, _, query = name.removeprefix("file:").partition("?")
    if parse_qs(query).get("mode", ["rwc"])[-1] != "rwc":
        return None
    if path.startswith("//"):
        # A host, which is empty or localhost.
        path = "/" + path[2:].partition("/")[2]
    return unquote(path.partition("#")[0])
