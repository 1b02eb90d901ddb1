"""`sweep`: deletes expired rows."""

from __future__ import annotations

import click

from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, print_json, progress
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.survey import survey_of
from myapp.sessions.core.sweep import sweep
from myapp.sessions.core.trust import TrustedClock
from myapp.sessions.sql.store import SqlStore


@click.command("sweep")
@click.option(
    "--batch",
    default=500,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Rows to delete in one transaction.",
)
@click.option("--dry-run", is_flag=True, help="Count expired rows, but delete none.")
@click.option("--quiet", is_flag=True, help="Print nothing unless something fails.")
@json_option
@pass_given
def command(given: Given, batch: int, dry_run: bool, quiet: bool, as_json: bool) -> None:
    """Delete expired sessions, a batch at a time.

    It deletes those of every kind in the same store. If the database's clock differs from this
    machine's by more than five minutes, it deletes nothing, and the exit status is 1.

    \b
    Example:      myapp-sessions production.ini sweep --quiet
    Exit status:  0 deleted or counted, 1 the clocks differ or the store can't be reached.
    """
    with given.manager() as manager:
        now = TrustedClock(manager.store, manager.kind.clock)()
        count = _count if dry_run else _delete
        result = count(manager, now, batch, quiet=quiet)
    if as_json:
        print_json(result)
    elif not quiet:
        click.echo(_in_words(result))


def _count(manager: SessionManager, now: int, batch: int, *, quiet: bool) -> dict[str, int | None]:
    expired = survey_of(manager.store, manager.name).count_expired(now)
    return {"expired": expired, "rows": _rows(manager)}


def _delete(manager: SessionManager, now: int, batch: int, *, quiet: bool) -> dict[str, int | None]:
    store, before = manager.store, _rows(manager)
    due = store.count_due(now) if isinstance(store, SqlStore) else None
    looked_at = 0
    with progress(wanted=not quiet) as shown:
        task = shown.add_task("Sweeping", total=due)
        for some in sweep(store, lambda: now, batch):
            looked_at += some
            shown.update(task, completed=looked_at)
    if before is None:
        return {"deleted": looked_at, "rows": None}
    return {"deleted": before - (_rows(manager) or 0), "rows": before}


def _rows(manager: SessionManager) -> int | None:
    """How many rows there are, if the store can tell."""
    return manager.store.count() if isinstance(manager.store, SqlStore) else None


def _in_words(result: dict[str, int | None]) -> str:
    ((what, number), (_, rows)) = result.items()
    of_all = "" if rows is None else f" of {rows}"
    # A store of one's own says only how many it has looked at.
    return f"{number}{of_all} rows {'are expired' if what == 'expired' else 'deleted'}"
