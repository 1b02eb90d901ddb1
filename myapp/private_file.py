"""A new SQLite file is its owner's alone: it holds what a session holds (R6)."""

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
    """Before SQLite connects: make the file if there is none, so that nobody else can read it.

    An empty file is an empty database, and what SQLite puts beside it gets its mode. One that
    exists is left as it is; what goes wrong here, SQLite will say.
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
    """Where a SQLite file is missing, let connecting fail as in an outage, whoever's engine it is.

    SQLite itself would make an empty one, also for whoever only wants to look.
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
