"""`backup`: copies a SQLite database while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import click
from sqlalchemy import URL

from myapp.database_url import parse_url, sqlite_file
from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, one_line, print_json, progress

_PAGES = 1000
"""Copied at once: the progress bar moves after each portion."""


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--application", is_flag=True, help="The application's database, if sessions have their own."
)
@json_option
@pass_given
def command(given: Given, file: Path, application: bool, as_json: bool) -> None:
    """Copy the sessions' SQLite database to FILE.

    The application may be running. `cp` would miss what is still in SQLite's write-ahead log. FILE
    must not exist; only its owner can read it. For PostgreSQL and MariaDB use pg_dump and
    mariadb-dump: docs/how-to/backup.md.

    \b
    Example:      myapp-sessions production.ini backup /var/backups/myapp.sqlite
    Exit status:  0 copied, 1 FILE exists, can't be written, or the database is not SQLite.
    """
    source = _source(given, application=application)
    if file.exists():
        raise one_line(f"{file} already exists: expected a new file")
    try:
        _copy(source, file)
    except (OSError, sqlite3.Error) as error:
        raise one_line(f"{source} can't be copied to {file}: {error}") from error
    size = file.stat().st_size
    if as_json:
        print_json({"database": str(source), "file": str(file), "bytes": size})
    else:
        click.echo(f"{source} copied to {file}, {size:,} bytes")


def _source(given: Given, *, application: bool) -> Path:
    url = _url(given, application=application)
    file = sqlite_file(url)
    if file is None:
        tool = "pg_dump" if url.get_backend_name() == "postgresql" else "mariadb-dump"
        name = url.get_backend_name()
        raise one_line(f"the database is {name}: back it up with {tool}, see docs/how-to/backup.md")
    if not file.exists():
        raise one_line(f"there is no database {file}")
    return file


def _url(given: Given, *, application: bool) -> URL:
    if application:
        return parse_url(given.application().given["sqlalchemy.url"].value or "")
    parsed = given.parsed()
    if parsed.url is None:
        raise one_line(f"{parsed.prefix}store is {parsed.store}: back it up with its own tools")
    return parse_url(parsed.url)


def _copy(source: Path, file: Path) -> None:
    """Copy to a file beside it first, so that half a backup never has this name."""
    half = file.with_name(f"{file.name}.half")
    try:
        os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_opened(source)) as old, closing(sqlite3.connect(half)) as new:
            _copy_pages(old, new)
        half.rename(file)
    except FileExistsError:
        raise one_line(f"{half} exists: another backup is running, or was interrupted") from None
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def _opened(source: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=30)


def _copy_pages(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    with progress() as shown:
        task = shown.add_task("Copying", total=None)

        def tell(status: int, remaining: int, total: int) -> None:
            shown.update(task, completed=total - remaining, total=total)

        # One read transaction around all portions: SQLite would begin again after each one
        # in whose time somebody committed, and never end under load.
        old.execute("BEGIN")
        old.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        old.backup(new, pages=_PAGES, progress=tell)
    # The copy begins as one whole file, whatever the journal of the other one.
    new.execute("PRAGMA journal_mode=DELETE")
