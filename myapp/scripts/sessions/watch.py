"""`watch`: the numbers of `stats`, refreshed until you have seen enough."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

import click
from rich.live import Live
from rich.table import Table

from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, on_terminal, shown
from myapp.scripts.sessions.stats import numbers
from myapp.scripts.sessions.words import duration
from myapp.sessions.core.errors import StoreUnavailable

_WATCHED = ("live", "signed_in", "anonymous", "expired", "markers")


@click.command("watch")
@click.option(
    "--interval", default="2s", show_default=True, type=duration, help="Time between looks."
)
@click.option("--times", type=click.IntRange(1), help="Stop after this many looks.")
@json_option
@pass_given
def command(given: Given, interval: int, times: int | None, as_json: bool) -> None:
    """Watch how many sessions there are.

    Ends when you press q or Ctrl-C, or after --times looks.

    In a pipe, each look is a line, or with --json a JSON object on a line. An outage is shown, and
    does not end the command.

    \b
    Example:      myapp-sessions production.ini watch --interval 10s
    Exit status:  0 ended, 1 the store could not be reached at the start.
    """
    with given.surveyed() as (manager, survey):

        def look() -> dict[str, Any]:
            try:
                return {"at": datetime.now(UTC), **numbers(manager, survey)}
            except StoreUnavailable as error:
                return {"at": datetime.now(UTC), "error": str(error)}

        # Asked before anything is drawn: while rich draws, standard output is its own.
        by_hand = on_terminal()
        looks = _looks(look, interval / 1000, times, typing=by_hand and sys.stdin.isatty())
        try:
            _draw(looks) if by_hand and not as_json else _print(looks, as_json=as_json)
        except KeyboardInterrupt:
            return


def _looks(look: Any, pause: float, times: int | None, *, typing: bool) -> Iterator[dict[str, Any]]:
    with _keys() if typing else nullcontext(_wait) as q_was_pressed:
        done = 0
        while True:
            yield look()
            done += 1
            if done == times or q_was_pressed(pause):
                return


@contextmanager
def _keys() -> Iterator[Any]:
    """What waits for so many seconds, and tells whether somebody pressed q."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    # What was typed already is not thrown away.
    tty.setcbreak(sys.stdin, termios.TCSANOW)
    try:
        yield _read
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _read(seconds: float) -> bool:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left)
        if ready and os.read(sys.stdin.fileno(), 1) in (b"q", b"Q", b""):
            return True
    return False


def _draw(looks: Iterator[dict[str, Any]]) -> None:
    with Live(auto_refresh=False) as live:
        for look in looks:
            live.update(_drawn(look), refresh=True)


def _drawn(look: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("at", shown(look["at"]))
    for name in (*_WATCHED, "error"):
        if name in look:
            table.add_row(name.replace("_", " "), shown(look[name]))
    return table


def _print(looks: Iterator[dict[str, Any]], *, as_json: bool) -> None:
    for look in looks:
        if as_json:
            at = look["at"].isoformat(timespec="milliseconds")
            click.echo(json.dumps(look | {"at": at}))
        else:
            words = [f"{name}={look[name]}" for name in (*_WATCHED, "error") if name in look]
            click.echo(f"{shown(look['at'])} {' '.join(words)}")
