"""`moving`: how far a move has come, told from the sessions table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import click

from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, print_json, print_table
from myapp.sessions.core.lifetime import MINUTE, to_datetime
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.moving.links import Link, links

_HOUR: Final = 60 * MINUTE


@dataclass(slots=True, kw_only=True)
class Progress:
    """What is on record of one old library."""

    moved: int = 0
    ended: int = 0
    """Old sessions that were signed out, or gave way to another user's."""
    last_hour: int = 0
    last_day: int = 0
    last: datetime
    """When the last one arrived."""

    def add(self, link: Link, when: int, now: int) -> None:
        """Count one old session; moments are in milliseconds since 1970."""
        self.moved += link.handle is not None
        self.ended += link.handle is None
        self.last_hour += now - when < _HOUR
        self.last_day += now - when < 24 * _HOUR
        self.last = max(self.last, to_datetime(when))


@click.command("moving")
@click.option(
    "--check", is_flag=True, help="Print nothing; exit with 1 if one arrived in the last day."
)
@json_option
@pass_given
def command(given: Given, check: bool, as_json: bool) -> None:
    """Show how many old sessions have arrived during a move.

    They are counted by the library that they came from. The counts are those of all servers
    together. The move is over when no old session has arrived for as long as one could live.

    \b
    Example:      myapp-sessions production.ini moving
    Exit status:  0 shown, 1 the store can't be reached, or --check found one from the last day.
    """
    with given.manager() as manager:
        progress = _progress(manager)
    if check:
        raise click.exceptions.Exit(int(any(each.last_day for each in progress.values())))
    if as_json:
        print_json({name: asdict(each) for name, each in progress.items()})
    elif progress:
        rows = [(name, *asdict(each).values()) for name, each in progress.items()]
        print_table(("from", "moved", "ended", "last hour", "last day", "last"), rows)
    else:
        click.echo("no old session has arrived")


def _progress(manager: SessionManager) -> dict[str, Progress]:
    """What is on record, by the old library's word; streamed, however much it is."""
    now, found = manager.kind.clock(), dict[str, Progress]()
    for link, when in links(manager.store, manager.name):
        progress = found.setdefault(link.kind, Progress(last=to_datetime(when)))
        progress.add(link, when, now)
    return dict(sorted(found.items()))
