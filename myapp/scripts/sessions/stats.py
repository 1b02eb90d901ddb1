"""`stats`: how many sessions there are, how old they are, and how much room they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import bar, json_option, on_terminal, print_facts, print_json
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.survey import Size, Survey, Tally
from myapp.sessions.sql.store import SqlStore

AGES: Final = ("under 1h", "1h to 1d", "1d to 7d", "7d to 30d", "30d and more")
IDLE: Final = ("under 5m", "5m to 1h", "1h to 1d", "1d to 7d", "7d and more")
"""In words, in the order in which they are counted."""


@click.command("stats")
@json_option
@pass_given
def command(given: Given, as_json: bool) -> None:
    """Count the sessions, by state, age and idle time, and their bytes.

    On a terminal, ages and idle times are drawn as bars.

    \b
    Example:      myapp-sessions production.ini stats
    Exit status:  0 counted, 1 the store can't be reached.
    """
    with given.surveyed() as (manager, survey):
        counted = numbers(manager, survey)
    if as_json:
        print_json(counted)
    else:
        print_numbers(counted)


def numbers(manager: SessionManager, survey: Survey) -> dict[str, Any]:
    """All that is counted, as JSON has it."""
    now = manager.kind.clock()
    tally = survey.tally(manager.name, now, manager.settings.idle_timeout)
    size = survey.size() or Size()
    counts = _counts(tally)
    return {
        **counts,
        "rows_of_other_managers": _others(manager, counts["rows"] or 0),
        "table_bytes": size.table,
        "index_bytes": size.indexes,
        "file_bytes": size.file,
        "ages": dict(zip(AGES, tally.ages, strict=True)),
        "idle": dict(zip(IDLE, tally.idle, strict=True)),
    }


def _counts(tally: Tally) -> dict[str, int | None]:
    live = tally.signed_in + tally.anonymous
    return {
        "live": live,
        "signed_in": tally.signed_in,
        "anonymous": tally.anonymous,
        "expired": tally.expired,
        "markers": tally.markers,
        "rows": live + tally.expired + (tally.markers or 0),
    }


def _others(manager: SessionManager, own: int) -> int | None:
    """What else is in the table, of which bytes and `sweep` tell too; None if nobody knows."""
    if not isinstance(manager.store, SqlStore):
        return None
    # Rows may go between the two counts.
    return max(0, manager.store.count() - own)


def print_numbers(counted: Mapping[str, Any]) -> None:
    """Print them for people."""
    plain = {name: value for name, value in counted.items() if not isinstance(value, dict)}
    print_facts({name: value for name, value in plain.items() if value is not None})
    for title, name in (("began", "ages"), ("last seen", "idle")):
        click.echo(f"\n{title}")
        click.echo("\n".join(_picture(counted[name])))


def _picture(counted: Mapping[str, int]) -> Sequence[str]:
    whole = max(counted.values())
    lines = [f"  {name:12} {number:>11,}" for name, number in counted.items()]
    if not on_terminal():
        return lines
    drawn = (bar(number, whole) for number in counted.values())
    return [f"{line} {each}".rstrip() for line, each in zip(lines, drawn, strict=True)]
