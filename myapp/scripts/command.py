"""What the operators' commands share: an ini file as pserve reads it, and one-line errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import click

from myapp import environment
from myapp.environment import Described, SettingError, UnreadableIni
from myapp.sessions import SessionError


class OneLineError(click.Command):
    """A command that shows errors which the user can correct as one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SettingError, SessionError) as error:
            raise click.ClickException(str(error)) from error


class OneLineErrors(OneLineError, click.Group):
    """A group of such commands; for a wrong command it suggests the nearest right one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            names = self.list_commands(ctx)
            (nearest,) = difflib.get_close_matches(args[0], names, n=1, cutoff=0)
            ctx.fail(f"No such command {args[0]!r}. The nearest is {nearest}.")
        return super().resolve_command(ctx, args)


class Ini(click.Path):
    """An existing file, optionally followed by the name of an application: `INI#NAME`."""

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        super().convert(value.partition("#")[0], param, ctx)
        return str(value)


def application(ini: str, options: Iterable[str]) -> Described:
    """The application that `pserve INI name=value` starts. Raises click's errors, and
    SettingError.
    """
    words = [option.partition("=") for option in options]
    if not all(equals for _, equals, _ in words):
        raise click.BadParameter("expected NAME=VALUE", param_hint="--set")
    values = {name: value for name, _, value in words}
    try:
        return environment.application(ini, values)
    except UnreadableIni as error:
        raise click.ClickException(str(error)) from error
