"""`config`: the effective settings, and where each came from."""

from __future__ import annotations

import click

from myapp.environment import printable
from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, print_json, print_table


@click.command("config")
@json_option
@pass_given
def command(given: Given, as_json: bool) -> None:
    """Show the effective settings, each with its source.

    Passwords are hidden, and nothing is cut.

    \b
    Example:      myapp-sessions production.ini config
    Exit status:  0 shown, 1 a setting can't be used.
    """
    readings = (given.application(), given.parsed().reading, *given.of_features())
    rows = [
        (name, printable(text) if text else "", source)
        for reading in readings
        for name, text, source in reading.listed()
    ]
    if as_json:
        print_json([dict(zip(("setting", "value", "from"), row, strict=True)) for row in rows])
    else:
        print_table(("setting", "value", "from"), rows)
