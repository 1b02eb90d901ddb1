"""`user`: the sessions of a user, and what the features of the application know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from myapp.environment import SettingError, without_passwords
from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.listing import MOST, described, print_sessions
from myapp.scripts.sessions.output import (
    json_option,
    one_line,
    print_facts,
    print_json,
    print_table,
)
from myapp.sessions import SessionError
from myapp.sessions.core.survey import Which

HOOK: Final = "operators"
"""The module of a feature with `about_user(settings, user_id)`, which answers what it knows: lists
of records and single values, by their names."""


@click.command("user")
@click.argument("user_id", metavar="ID")
@json_option
@pass_given
def command(given: Given, user_id: str, as_json: bool) -> None:
    """Show a user's live sessions, and what is known of the account.

    With accounts, that is whether it is disabled, how many attempts its throttles count now and
    how long they will still block sign-in, and its newest events.

    \b
    Example:      myapp-sessions production.ini user 42
    Exit status:  0 shown, 1 the store can't be reached, or the account can't be read;
                  the sessions are then shown without it.
    """
    with given.surveyed() as (manager, survey):
        now, idle_timeout = manager.kind.clock(), manager.settings.idle_timeout
        which = Which(manager=manager.name, live_at=now, idle_timeout=idle_timeout, user_id=user_id)
        sessions = [described(row) for row in survey.newest(which, MOST)]
    known: dict[str, Any] = {}
    try:
        known = _known(given, user_id)
    finally:
        # A feature that fails must not hide the sessions.
        _print_all(user_id, sessions, known, as_json=as_json)


def _print_all(
    user_id: str, sessions: list[dict[str, Any]], known: Mapping[str, Any], *, as_json: bool
) -> None:
    if as_json:
        print_json({"user_id": user_id, "sessions": sessions, **known})
        return
    print_sessions(sessions, as_json=False)
    for title, found in known.items():
        click.echo(f"\n{title}")
        _print(found)


def _known(given: Given, user_id: str) -> dict[str, Any]:
    """What each feature knows, by its own titles."""
    known: dict[str, Any] = {}
    for module in given.codebase.modules(HOOK) if given.codebase else ():
        try:
            known |= module.about_user(given.settings, user_id)
        except (click.ClickException, SettingError, SessionError):
            raise
        except Exception as error:
            why = without_passwords(f"{type(error).__name__}: {error}")
            raise one_line(f"{module.__name__} can't tell of the user: {why}") from error
    return known


def _print(found: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> None:
    if not found:
        click.echo("  none")
    elif isinstance(found, Mapping):
        print_facts({f"  {name}": value for name, value in found.items()})
    else:
        heads = [name.replace("_", " ") for name in found[0]]
        print_table(heads, [[*each.values()] for each in found])
