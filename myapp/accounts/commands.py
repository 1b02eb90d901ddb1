"""`python -m myapp.accounts INI …`: what an operator does with accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click
from pyramid.router import Router
from sqlalchemy.exc import DBAPIError

import myapp
from myapp.accounts.operating import NotPossible, Operator
from myapp.accounts.parts import REGISTRY_KEY, Accounts
from myapp.accounts.policy import ROLES, USER
from myapp.database import reason_of
from myapp.scripts.command import Ini, OneLineErrors, application
from myapp.scripts.sessions.output import ask
from myapp.sessions import get_manager

_PORT: Final = "6543"
"""Of the ini files, where none is given."""


class _Application:
    """The application of an ini file, made when a command needs it."""

    def __init__(self, ini: str, options: tuple[str, ...]) -> None:
        self._context = application(ini, options).context
        if self._context.object is not myapp.main:
            raise click.ClickException(f"{ini} configures an application other than myapp")

    @contextmanager
    def opened(self) -> Iterator[tuple[Operator, Accounts]]:
        """What works on its accounts; ends with one line for what can't be done."""
        app: Router = self._context.create()
        parts: Accounts = app.registry[REGISTRY_KEY]
        # While developing, the one who reads the mails sits at this machine.
        site = f"http://localhost:{self._context.global_conf.get('http_port', _PORT)}"
        dbsessions, manager = app.registry["dbsession_factory"], get_manager(app.registry)
        try:
            yield Operator(parts, dbsessions, manager, site), parts
        except NotPossible as error:
            raise click.ClickException(str(error)) from error
        except DBAPIError as error:
            raise click.ClickException(f"the database refused: {reason_of(error)}") from error
        finally:
            parts.close()
            app.registry["dbengine"].dispose()
            manager.store.close()


@click.group(cls=OneLineErrors)
@click.version_option(package_name="myapp")
@click.argument("ini", type=Ini(exists=True, dir_okay=False))
@click.option(
    "--set", "options", multiple=True, metavar="NAME=VALUE", help="Override a setting; repeatable."
)
@click.pass_context
def cli(ctx: click.Context, ini: str, options: tuple[str, ...]) -> None:
    """Look after the accounts of the application that INI describes.

    \b
    The first administrator, for example:
        python -m myapp.accounts production.ini create ann@example.com --role administrator

    No command sets a password: the owner of an account chooses it, with a link in a mail. The
    running application sends the mails.
    """
    ctx.obj = _Application(ini, options)


_send = click.option(
    "--send", is_flag=True, help="Send due mails now, instead of leaving them to the application."
)
_email = click.argument("email")
_role = click.Choice(ROLES)


def _done(parts: Accounts, words: str, send: bool) -> None:
    """Say what was done, and send what is due if that was wanted."""
    click.echo(words)
    sender = parts.mailer.sender
    while send and sender.send_due():
        pass
    for mail in sender.transport.printed:
        click.echo(f"\nTo: {mail['To']}\nSubject: {mail['Subject']}\n\n{mail.get_content()}")


@cli.command()
@_email
@click.option("--role", type=_role, default=USER, show_default=True)
@_send
@click.pass_obj
def create(application: _Application, email: str, role: str, send: bool) -> None:
    """Create an account; its owner gets a link to choose a password."""
    with application.opened() as (operator, parts):
        address = operator.create(email, role)
        _done(parts, f"{address} now has an account, and will get a mail with a link", send)


@cli.command()
@_email
@_send
@click.pass_obj
def disable(application: _Application, email: str, send: bool) -> None:
    """Disable an account: its sessions end, its links become void."""
    with application.opened() as (operator, parts):
        ended = operator.disable(email)
        _done(parts, f"{email} is disabled; sessions ended: {ended}", send)


@cli.command()
@_email
@_send
@click.pass_obj
def enable(application: _Application, email: str, send: bool) -> None:
    """Enable an account that was disabled."""
    with application.opened() as (operator, parts):
        operator.enable(email)
        _done(parts, f"{email} is enabled", send)


@cli.command()
@_email
@click.argument("role", type=_role)
@_send
@click.pass_obj
def role(application: _Application, email: str, role: str, send: bool) -> None:
    """Give an account a role; it takes effect with the next request."""
    with application.opened() as (operator, parts):
        operator.set_role(email, role)
        _done(parts, f"{email} has the role {role}", send)


@cli.command("send-reset")
@_email
@_send
@click.pass_obj
def send_reset(application: _Application, email: str, send: bool) -> None:
    """Send the owner of an account a link to choose a new password."""
    with application.opened() as (operator, parts):
        operator.send_reset(email)
        _done(parts, f"{email} will get a mail with a link", send)


@cli.command("void-links")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@click.pass_obj
def void_links(application: _Application, yes: bool) -> None:
    """Void the links in all mails sent so far.

    Do this after a restore, since a backup brings used links back. Users who still need a link can
    ask for a new one.
    """
    with application.opened() as (operator, _):
        ask("Void the links in all mails sent so far?", yes=yes)
        click.echo(f"{operator.void_links()} links voided")


@cli.command()
@_email
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(application: _Application, email: str, as_json: bool) -> None:
    """Show an account, and where it is signed in."""
    with application.opened() as (operator, _):
        account = operator.look_at(email)
        click.echo(json.dumps(account, indent=2) if as_json else _as_text(account))


def _as_text(account: dict[str, Any]) -> str:
    sessions = account.pop("sessions")
    lines = [f"{name.replace('_', ' '):14}{_in_words(value)}" for name, value in account.items()]
    lines += [f"{'sessions':14}{len(sessions)}"]
    seen = ("last_seen", "browser", "address")
    return "\n".join(
        lines + ["  " + "  ".join(str(s[name] or "-") for name in seen) for s in sessions]
    )


def _in_words(value: object) -> str:
    words = {None: "-", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
