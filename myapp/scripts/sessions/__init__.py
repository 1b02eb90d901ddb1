"""`myapp-sessions INI COMMAND`: what an operator does with sessions, one module a command."""

from __future__ import annotations

import logging
import re
from typing import Final

import click

from myapp.private_file import making_none
from myapp.scripts.command import Ini, OneLineErrors, application
from myapp.scripts.sessions import (
    backup,
    check,
    config,
    end,
    listing,
    # <workshop>
    moving,
    # </workshop>
    schema,
    show,
    stats,
    sweep,
    user,
    watch,
)
from myapp.scripts.sessions.audit import command as audit
from myapp.scripts.sessions.given import Given
from myapp.scripts.sessions.schema import DIALECTS, ddl, dialect_of

__all__ = ["DIALECTS", "cli", "ddl", "dialect_of"]

# What the store would log of an outage, these commands say themselves, in one line.
logging.getLogger("myapp.sessions.sql").addHandler(logging.NullHandler())

_PREFIX: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*\.")
_COMMANDS: Final = (
    *(stats, listing, show, user, watch, end, sweep),
    *(check, audit, config, schema, backup),
    # <workshop>
    moving,
    # </workshop>
)


class _InOrder(OneLineErrors):
    """The commands are listed as they are named above, and not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands]


@click.group(cls=_InOrder)
@click.version_option(package_name="myapp")
@click.argument("ini", type=Ini(exists=True, dir_okay=False))
@click.option(
    "--set", "options", multiple=True, metavar="NAME=VALUE", help="Override a setting; repeatable."
)
@click.option(
    "--prefix",
    default="session.",
    show_default=True,
    help="Prefix of the session manager's settings.",
)
@click.pass_context
def cli(ctx: click.Context, ini: str, options: tuple[str, ...], prefix: str) -> None:
    """Look after the sessions of the application that INI describes.

    If INI describes several applications, INI#NAME means the one in [app:NAME].

    \b
    How many sessions are there?     myapp-sessions production.ini stats
    Whose are they?                  myapp-sessions production.ini list
    Is my configuration safe?        myapp-sessions production.ini audit
    Does everything work?            myapp-sessions production.ini check

    \b
    Exit status: 0 success, 1 failure (one line says why),
                 2 invalid command line.
    """
    if not _PREFIX.fullmatch(prefix):
        raise click.BadParameter(
            "expected a name and a dot, such as admin_session.", param_hint="--prefix"
        )
    # A misspelt name must not become an empty database.
    ctx.with_resource(making_none())
    ctx.obj = Given(application(ini, options), prefix, ini=ini.partition("#")[0])


for module in _COMMANDS:
    cli.add_command(module.command)
