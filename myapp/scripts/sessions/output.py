"""How the commands speak: tables for people, JSON for programs, and plain lines for a pipe.

Under a pipe nothing is cut, wrapped, coloured or drawn. rich obeys NO_COLOR by itself.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

Rows = Sequence[Sequence[object]]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_STYLES = {"ok": "green", "failed": "bold red", "not asked": "yellow"}


def one_line(message: str) -> click.ClickException:
    """An error that ends a command with this line and status 1."""
    return click.ClickException(" ".join(message.split()))


def on_terminal() -> bool:
    """Whether somebody reads this on a screen."""
    return sys.stdout.isatty()


def print_json(value: object) -> None:
    """Print a value for programs, in ASCII alone; moments in ISO 8601, `nan` and `inf` as texts."""
    # A terminal takes some characters beyond ASCII for commands, and JSON has no word for NaN.
    click.echo(json.dumps(_finite(value), indent=2, default=_plain, allow_nan=False))


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {_finite(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return value.hex() if isinstance(value, bytes) else str(value)


def print_table(columns: Sequence[str], rows: Rows) -> None:
    """Print rows for people; under a pipe each row is one whole line."""
    texts = [[shown(value) for value in row] for row in rows]
    if on_terminal():
        Console().print(_rich_table(columns, texts))
    else:
        click.echo("\n".join(aligned([columns, *texts])))


def _rich_table(columns: Sequence[str], texts: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        # What is too long goes on in the next line: nothing is cut.
        table.add_column(name, overflow="fold")
    for row in texts:
        table.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in row))
    return table


def aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """The rows as lines, each column as wide as its longest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield "   ".join(padded).rstrip()


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names of ours and what they stand for, a line each."""
    print_values({name.replace("_", " "): value for name, value in facts.items()})


def print_values(values: Mapping[str, object]) -> None:
    """Print somebody else's names, letter for letter, and what they stand for, a line each."""
    names = [shown(name) for name in values]
    width = max(map(len, names), default=0)
    for name, value in zip(names, values.values(), strict=True):
        click.echo(f"{name:{width}}   {shown(value)}".rstrip())


def shown(value: object) -> str:
    """A value in one line that no terminal takes for a command."""
    words: dict[Any, str] = {None: "-", True: "yes", False: "no"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def bar(part: int, whole: int, width: int = 40) -> str:
    """A part of a whole as a line of blocks; something is never nothing."""
    return "█" * max(part > 0, round(width * part / whole)) if whole else ""


def progress(*, wanted: bool = True) -> Progress:
    """A progress bar on standard error, if that is a terminal."""
    console = Console(stderr=True)
    # Before 14, rich ends even a bar that it does not draw with a line.
    console.quiet = not (wanted and console.is_terminal)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=console.quiet,
    )


_confirm: Final = partial(click.confirm, err=True)


def ask(question: str, *, yes: bool, confirm: Callable[[str], bool] = _confirm) -> None:
    """Go on only if somebody says so, asked on standard error: the output may be a program's.

    Raises click's one line where nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise one_line(f"{question} Nobody can answer here: pass --yes")
    if not confirm(question):
        raise one_line("nothing was done")
