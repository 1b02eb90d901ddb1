"""`myapp-sessions INI …`: what an operator does with sessions, by the settings of an ini file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Table as SqlTable
from sqlalchemy import make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

import myapp
from myapp import environment, features
from myapp.database import URL_SETTING, read_url
from myapp.environment import printable
from myapp.scripts.command import Ini, OneLineErrors, application
from myapp.sessions.core.lifetime import Clock, SteadyClock
from myapp.sessions.core.settings import SessionSettings, read_session_settings
from myapp.sessions.core.sweep import sweep as sweep_store
from myapp.sessions.core.trust import TrustedClock
from myapp.sessions.sql.model import named
from myapp.sessions.sql.model import table as sessions_table
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.web.include import with_place
from myapp.setting_table import Reading, read_table
from myapp.settings import read_application_settings

DIALECTS: dict[str, Dialect] = {
    name: make_url(f"{name}://").get_dialect()() for name in ("sqlite", "postgresql", "mysql")
}


_PREFIX: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*\.")


@click.group(cls=OneLineErrors)
@click.version_option(package_name="myapp")
@click.argument("ini", type=Ini(exists=True, dir_okay=False))
@click.option("--set", "options", multiple=True, metavar="NAME=VALUE", help="As with pserve.")
@click.option(
    "--prefix", default="session.", show_default=True, help="Of another session manager's settings."
)
@click.pass_context
def cli(ctx: click.Context, ini: str, options: tuple[str, ...], prefix: str) -> None:
    """Look after the sessions of the application that INI describes.

    INI#NAME is the application in [app:NAME], where there are several.
    """
    if not _PREFIX.fullmatch(prefix):
        raise click.BadParameter("write a name and a dot: admin_session.", param_hint="--prefix")
    context = application(ini, options)
    settings = environment.merge(context.local_conf, context.global_conf)
    # Whether it is this application, be it by way of another ini file.
    ctx.obj = _Given(settings, prefix, ours=context.object is myapp.main)


class _Given:
    """The settings that the command line led to; `ours` if they are those of this application."""

    def __init__(self, settings: dict[str, Any], prefix: str, *, ours: bool) -> None:
        self.settings, self.prefix, self.ours = settings, prefix, ours

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
        """The manager's settings, with the database they lead to. Raises SettingError."""
        own = self._manager(self.prefix)
        # Read once, since what looks misspelt is warned of each time.
        first = own if self.prefix == "session." else self._manager("session.")
        return with_place(own, first, self.settings)

    def _manager(self, prefix: str) -> SessionSettings:
        name = prefix.rstrip(".").replace(".", "_")
        return read_session_settings(self.settings, os.environ, name=name, prefix=prefix)


@cli.command()
@click.pass_obj
def config(given: _Given) -> None:
    """Show the effective settings, each with its source."""
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for reading in (given.application(), given.parsed().reading, *given.of_features()):
        for name, text, source in reading.listed():
            table.add_row(name, escape(printable(text)) if text else "", escape(source))
    # As wide as it needs to be: lines that are cut or wrapped can't be searched.
    Console(width=None if Console().is_terminal else 500).print(table)


@cli.command()
@click.option(
    "--dialect", type=click.Choice(sorted(DIALECTS)), help="Default: that of the database in INI."
)
@click.pass_obj
def schema(given: _Given, dialect: str | None) -> None:
    """Print the sessions table as SQL, for an application with migrations of its own."""
    parsed = given.parsed()
    click.echo(ddl(DIALECTS[dialect or _dialect_name(parsed)], named(parsed.table)))


@cli.command()
@click.option("--batch", default=500, show_default=True, type=click.IntRange(1, 10_000))
@click.pass_obj
def sweep(given: _Given, batch: int) -> None:
    """Delete expired sessions, a batch at a time.

    Nothing is deleted, and the exit status is 1, if the database's clock differs by more than five
    minutes from this machine's.
    """
    parsed = given.parsed()
    if parsed.store is not None:
        raise click.ClickException(f"{given.prefix}store is {parsed.store}: sweep it by its means")
    with closing(SqlStore.from_settings(parsed)) as store:
        store.check()
        before = store.count()
        now = TrustedClock(store, SteadyClock())()
        _sweep(store, lambda: now, batch)
        click.echo(f"{before - store.count()} of {before} rows deleted")


def _sweep(store: SqlStore, clock: Clock, batch: int) -> None:
    with _progress() as progress:
        task = progress.add_task("Sweeping", total=store.count_due(clock()))
        for looked_at in sweep_store(store, clock, batch):
            progress.update(task, advance=looked_at)


def ddl(dialect: Dialect, table: SqlTable = sessions_table) -> str:
    """The statements that create the sessions table and its indexes."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    statements: list[DDLElement] = [CreateTable(table), *map(CreateIndex, indexes)]
    texts = [str(s.compile(dialect=dialect)).strip().expandtabs(4) for s in statements]
    return "\n\n".join(re.sub(r" +$", "", f"{text};", flags=re.MULTILINE) for text in texts)


def _dialect_name(settings: SessionSettings) -> str:
    name = SqlStore.from_settings(settings).engine.dialect.name
    return "mysql" if name == "mariadb" else name


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
