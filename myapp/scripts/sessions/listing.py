"""`list`: which sessions there are, the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click

from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, print_json, print_table
from myapp.scripts.sessions.words import USER, duration
from myapp.sessions.core.lifetime import shown, to_datetime
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.survey import Which

MOST: Final = 10_000

_COLUMNS: Final = ("handle", "user_id", "began", "last_seen", "expires", "address", "user_agent")


@click.command("list")
@USER
@click.option("--address", metavar="ADDRESS", help="Sessions from this IP address.")
@click.option("--older-than", type=duration, help="Sessions that began at least this long ago.")
@click.option("--idle", type=duration, help="Sessions not used for at least this long.")
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(1, MOST),
    help="Most sessions to list.",
)
@json_option
@pass_given
def command(given: Given, /, limit: int, as_json: bool, **filters: Any) -> None:
    """List the live sessions, the newest first.

    A handle names a session for `show` and `end`; nobody can use it to sign in.

    \b
    Example:      myapp-sessions production.ini list --user 42
    Exit status:  0 listed, 1 the store can't be reached.
    """
    with given.surveyed() as (manager, survey):
        now = manager.kind.clock()
        idle_timeout = manager.settings.idle_timeout
        which = meant(manager.name, now, idle_timeout=idle_timeout, **filters)
        sessions = [described(row) for row in survey.newest(which, limit)]
    print_sessions(sessions, as_json=as_json)


def meant(
    manager: str,
    now: int,
    *,
    idle_timeout: int | None = None,
    user_id: str | None = None,
    address: str | None = None,
    older_than: int | None = None,
    idle: int | None = None,
) -> Which:
    """The live sessions that meet all of these conditions."""
    return Which(
        manager=manager,
        live_at=now,
        idle_timeout=idle_timeout,
        user_id=user_id,
        address=address,
        began_before=None if older_than is None else now - older_than + 1,
        seen_before=None if idle is None else now - idle + 1,
    )


def described(row: StoredSession) -> dict[str, Any]:
    """A session as a line of the list has it."""
    return {
        "handle": row.handle,
        "user_id": row.user_id,
        "began": moment(row.created_at),
        "last_seen": moment(row.seen_at),
        "expires": moment(row.expires_at),
        "address": row.address,
        "user_agent": row.user_agent,
    }


def moment(value: int) -> datetime | str:
    """A moment, be it one that no calendar has: a broken clock may have written it."""
    try:
        return to_datetime(value)
    except OverflowError:
        return shown(value)


def print_sessions(sessions: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print them for people or for programs."""
    if as_json:
        print_json(sessions)
    elif sessions:
        heads = [name.replace("_", " ") for name in _COLUMNS]
        print_table(heads, [[session[name] for name in _COLUMNS] for session in sessions])
    else:
        click.echo("no sessions", err=True)
