"""`end`: ends sessions, one or many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import ask, json_option, one_line, print_json, progress
from myapp.scripts.sessions.words import USER, duration, moment
from myapp.sessions.core.ending_many import BATCH, end_many
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.survey import Which, survey_of

INTERRUPTED: Final = 130
"""The exit status of a command that Ctrl-C ended, as shells have it."""


# A handle may begin with a hyphen.
@click.command("end", context_settings={"ignore_unknown_options": True})
@click.argument("handles", metavar="[HANDLE]...", nargs=-1)
@USER
@click.option("--older-than", type=duration, help="Sessions that began at least this long ago.")
@click.option(
    "--before",
    type=moment,
    help="Sessions that began before this moment: 2026-11-26T03:00Z, or now.",
)
@click.option("--all", "everybody", is_flag=True, help="All sessions.")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@click.option(
    "--batch",
    default=BATCH,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Sessions to end in one transaction.",
)
@json_option
@pass_given
def command(
    given: Given, /, handles: tuple[str, ...], yes: bool, batch: int, as_json: bool, **words: Any
) -> None:
    """End sessions: by handle, by user, by age, or all of them.

    Shows how many there are, including expired ones, and asks for confirmation. No request can
    bring an ended session back. If you press Ctrl-C, the sessions that have ended stay ended: run
    the command again to continue.

    \b
    Examples:     myapp-sessions production.ini end 9Xq1rWc3nBzK7aTfUd0e2g
                  myapp-sessions production.ini end --user 42
                  myapp-sessions production.ini end --before 2026-11-26T03:00Z
                  myapp-sessions production.ini end --all --yes
    Exit status:  0 ended, or there was nothing to end; 1 no such handle, not confirmed,
                  or the store can't be reached; 130 interrupted by Ctrl-C.
    """
    _refuse_vague(handles, **words)
    with given.manager() as manager:
        if handles:
            ended = _end_handles(manager, handles)
        else:
            ended = _end_which(manager, _which(manager, **words), batch=batch, yes=yes)
    if as_json:
        print_json({"ended": ended})
    else:
        click.echo(f"{ended:,} {_sessions(ended)} ended")


def _refuse_vague(handles: Sequence[str], **words: Any) -> None:
    """Exactly one way to say which; nobody ends more than they meant."""
    named = [bool(handles), *(value not in (None, False) for value in words.values())]
    if sum(named) != 1:
        ways = "HANDLE…, --user, --older-than, --before or --all"
        raise click.UsageError(f"Choose sessions in exactly one way: {ways}.")


def _end_handles(manager: SessionManager, handles: Sequence[str]) -> int:
    unknown = [handle for handle in handles if not manager.end(handle)]
    ended = len(handles) - len(unknown)
    if unknown:
        raise one_line(f"{ended} ended; no session has the handle {' or '.join(unknown)}")
    return ended


def _which(
    manager: SessionManager,
    *,
    user_id: str | None,
    older_than: int | None,
    before: int | None,
    everybody: bool,
) -> Which:
    # Expired or not: this machine's clock may be wrong, and nobody is to stay signed in by that.
    if older_than is not None:
        before = manager.kind.clock() - older_than + 1
    return Which(manager=manager.name, user_id=user_id, began_before=before)


def _end_which(manager: SessionManager, which: Which, *, batch: int, yes: bool) -> int:
    number = survey_of(manager.store, manager.name).count(which)
    if number:
        ask(f"End {number:,} {_sessions(number)}?", yes=yes)
    ended = 0
    with progress() as shown:
        task = shown.add_task("Ending", total=number)
        try:
            for some in end_many(manager, which, batch):
                ended += some
                shown.update(task, completed=ended, total=max(number, ended))
        except KeyboardInterrupt:
            shown.stop()
            click.echo(
                f"interrupted: {ended:,} of {number:,} ended; run the command again to continue",
                err=True,
            )
            raise click.exceptions.Exit(INTERRUPTED) from None
    return ended


def _sessions(number: int) -> str:
    return "session" if number == 1 else "sessions"
