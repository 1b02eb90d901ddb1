"""`python -m myapp.scripts.moving INI`: how far a move has come, told from the sessions table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Final

import click

from myapp import environment
from myapp.scripts.command import Ini, OneLineError, application
from myapp.scripts.sessions.output import print_table
from myapp.sessions.core.lifetime import MINUTE, SteadyClock, shown
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.moving.links import Link, links
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.web.include import with_place

_HOUR: Final = 60 * MINUTE
_MANAGER: Final = "session"


@dataclass(slots=True)
class Progress:
    """What is on record of one old library."""

    moved: int = 0
    ended: int = 0
    """Old sessions that were signed out, or gave way to another user's."""
    last_hour: int = 0
    last_day: int = 0
    last: int = 0
    """When the last one arrived, in milliseconds since 1970."""

    def add(self, link: Link, when: int, now: int) -> None:
        """Count one old session."""
        self.moved += link.handle is not None
        self.ended += link.handle is None
        self.last_hour += now - when < _HOUR
        self.last_day += now - when < 24 * _HOUR
        self.last = max(self.last, when)


@click.command(cls=OneLineError)
@click.argument("ini", type=Ini(exists=True, dir_okay=False))
@click.option("--set", "options", multiple=True, metavar="NAME=VALUE", help="As with pserve.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--check", is_flag=True, help="Print nothing; status 1 if one arrived in the last day."
)
def cli(ini: str, options: tuple[str, ...], as_json: bool, check: bool) -> None:
    """Show how many old sessions have arrived, by the library that they came from.

    The move is over when none has arrived for as long as an old session lived.

    Example: python -m myapp.scripts.moving production.ini
    """
    progress = _progress(ini, options)
    if check:
        raise SystemExit(int(any(each.last_day for each in progress.values())))
    if as_json:
        found = {name: asdict(each) | {"last": shown(each.last)} for name, each in progress.items()}
        click.echo(json.dumps(found))
    else:
        _print(progress)


def _progress(ini: str, options: Iterable[str]) -> dict[str, Progress]:
    """What is on record, by the old library's word; streamed, however much it is."""
    context = application(ini, options)
    given = environment.merge(context.local_conf, context.global_conf)
    settings = read_session_settings(given, os.environ)
    if settings.store is not None:
        settings.refuse("store", "the SQLAlchemy store, whose table this command reads")
    settings = with_place(settings, settings, given)
    now, found = SteadyClock()(), dict[str, Progress]()
    with closing(SqlStore.from_settings(settings)) as store:
        store.check()
        for link, when in links(store, _MANAGER):
            found.setdefault(link.kind, Progress()).add(link, when, now)
    return found


def _print(progress: dict[str, Progress]) -> None:
    if not progress:
        click.echo("no old session has arrived")
        return
    rows = [
        (name, each.moved, each.ended, each.last_hour, each.last_day, shown(each.last))
        for name, each in sorted(progress.items())
    ]
    print_table(("from", "moved", "ended", "last hour", "last day", "last"), rows)


if __name__ == "__main__":
    cli(prog_name="python -m myapp.scripts.moving")
