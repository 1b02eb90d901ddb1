"""`config`: the effective settings, and where each came from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from myapp.environment import shown
from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, print_json, print_table


@click.command("config")
@json_option
@pass_given
def command(given: Given, as_json: bool) -> None:
    """Show the effective settings, and where each one came from.

    They are those of the application, its sessions and its features. Passwords and secrets are
    hidden; nothing is shortened. An application of your own is loaded, but not served, to find out
    which features it includes. If it does not start, the settings of its features may be missing.

    \b
    Example:      myapp-sessions production.ini config
    Exit status:  0 shown, 1 a setting can't be used, or your own application does not start.
    """
    with _known(given) as is_known:
        readings = (
            given.application(),
            given.parsed().reading,
            *(reading for _, reading in given.of_features()),
        )
    rows = [
        (name, shown(name, text) if text else "", source)
        for reading in readings
        for name, text, source in reading.listed()
    ]
    if as_json:
        print_json([dict(zip(("setting", "value", "from"), row, strict=True)) for row in rows])
    else:
        print_table(("setting", "value", "from"), rows)
    raise click.exceptions.Exit(int(not is_known))


@contextmanager
def _known(given: Given) -> Iterator[bool]:
    """Look at the application itself, unless its codebase tells which features it has: whether it
    is known.

    A database that is down may be why somebody looks at the settings: nothing waits for it here.
    """
    moves = any(name.startswith("moving.") for name in given.settings)
    if given.codebase is not None and not moves:
        yield True
        return
    with given.loaded() as application:
        if application.failure is not None:
            words = "settings may be missing, because the application does not start"
            click.echo(f"{words}: {application.why_not}", err=True)
        yield application.failure is None
