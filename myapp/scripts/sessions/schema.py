"""`schema`: the sessions table as SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import click
from sqlalchemy import Table, make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, one_line, print_json
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.sql.model import named
from myapp.sessions.sql.model import table as sessions_table
from myapp.sessions.sql.store import SqlStore

DIALECTS: Final = ("mysql", "postgresql", "sqlite")


def dialect_of(name: str) -> Dialect:
    """One of them. Made when it is needed: it loads its driver, and not every machine has all."""
    return make_url(f"{name}://").get_dialect()()


@click.command("schema")
@click.option(
    "--dialect", type=click.Choice(DIALECTS), help="Default: the dialect of the database in INI."
)
@json_option
@pass_given
def command(given: Given, dialect: str | None, as_json: bool) -> None:
    """Print the sessions table as SQL.

    Use it in an application with migrations of its own.

    \b
    Example:      myapp-sessions shop.ini schema | psql shop
    Exit status:  0 printed, 1 a setting can't be used.
    """
    parsed = given.parsed()
    name = dialect or _dialect_name(parsed)
    table = named(parsed.table)
    if as_json:
        print_json({"dialect": name, "statements": [*statements(dialect_of(name), table)]})
    else:
        click.echo(ddl(dialect_of(name), table))


def ddl(dialect: Dialect, table: Table = sessions_table) -> str:
    """The statements that create the sessions table and its indexes, as a script."""
    return "\n\n".join(f"{text};" for text in statements(dialect, table))


def statements(dialect: Dialect, table: Table) -> Iterator[str]:
    """The same one by one."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    made: list[DDLElement] = [CreateTable(table), *map(CreateIndex, indexes)]
    for each in made:
        text = str(each.compile(dialect=dialect)).strip().expandtabs(4)
        yield re.sub(r" +$", "", text, flags=re.MULTILINE)


def _dialect_name(settings: SessionSettings) -> str:
    if settings.store is not None:
        raise one_line(
            f"{settings.prefix}store is {settings.store}, which has no table of ours: choose"
            " the database with --dialect"
        )
    name = SqlStore.from_settings(settings).engine.dialect.name
    return "mysql" if name == "mariadb" else name
