"""Asks for what no option sets; with `--yes`, the defaults are used without asking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from myapp.new.answers import DATABASES, LICENCES, Answers
from myapp.new.files import CannotMake
from myapp.new.names import refuse_unusable
from myapp.scripts.session_name import new_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The options; None for what was not said."""

    package: str | None
    title: str | None
    database: str | None
    migrations: bool | None
    features: tuple[str, ...]
    without: tuple[str, ...]
    licence: str | None
    holder: str | None
    require_sessions: bool
    ask: bool


def answer(said: Said, target: Path, features: tuple[str, ...]) -> Answers:
    """The answers. Raises CannotMake for one that can't be used."""
    _refuse_unknown((*said.features, *said.without), features)
    package = _package(said, target, features)
    title = said.title or _prompt(said, "Title", package.replace("_", " ").capitalize())
    if not title.strip() or not title.isprintable():
        raise CannotMake(f"title = {title!r}: expected a line of text")
    return Answers(
        package=package,
        title=title.strip(),
        cookie_name=new_name(),
        year=datetime.now(UTC).year,
        database=said.database or _choose(said, "Database", DATABASES),
        migrations=_decided(said, said.migrations, "Migrations by alembic?"),
        features=tuple(name for name in features if _is_wanted(said, name)),
        licence=said.licence or _choose(said, "Licence", LICENCES),
        holder=said.holder or f"The {title.strip()} authors",
        require_sessions=said.require_sessions,
    )


def _package(said: Said, target: Path, features: tuple[str, ...]) -> str:
    usual = target.name.lower().replace("-", "_")
    package = said.package or _prompt(said, "Package", usual)
    refuse_unusable(package, features)
    return package


def _is_wanted(said: Said, feature: str) -> bool:
    decided = True if feature in said.features else False if feature in said.without else None
    return _decided(said, decided, f"With {feature.replace('_', ' ')}?")


def _decided(said: Said, decided: bool | None, question: str) -> bool:
    if decided is not None or not said.ask:
        return True if decided is None else decided
    return click.confirm(question, default=True, err=True)


def _prompt(said: Said, question: str, usual: str) -> str:
    return str(click.prompt(question, default=usual, err=True)) if said.ask else usual


def _choose(said: Said, question: str, choices: tuple[str, ...]) -> str:
    if not said.ask:
        return choices[0]
    return str(click.prompt(question, default=choices[0], type=click.Choice(choices), err=True))


def _refuse_unknown(names: Iterable[str], features: tuple[str, ...]) -> None:
    for name in names:
        if name not in features:
            raise CannotMake(f"feature = {name!r}: expected one of {', '.join(features)}")
