"""Statements compiled once for a dialect, to be run on the driver's own cursor.

SQLAlchemy's execution costs several times what the driver's does: it wraps connection, result and
rows at each call. The statements that every request needs go past it. Their text is still
SQLAlchemy's, so that the table's definition stays in one place; their values are whole numbers,
texts and bytes, which each driver takes and gives as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.engine import Dialect

Arrange = Callable[[Mapping[str, Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement's text, and how its values are put in order."""

    text: str
    arrange: Arrange


class PreparedStatements(dict[Executable, Prepared]):
    """The statements of one dialect, each compiled when it is first asked for."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        # Places instead of names: psycopg takes 4 µs more to look the names up, each time.
        by_name = dialect.paramstyle == "pyformat"
        kind: Any = type(dialect)
        self._dialect: Dialect = kind(paramstyle="format") if by_name else dialect

    def __missing__(self, statement: Executable) -> Prepared:
        with_text: Any = statement
        compiled = with_text.compile(dialect=self._dialect)
        fixed = {
            name: parameter.value
            for name, parameter in compiled.binds.items()
            if not parameter.required
        }
        self[statement] = Prepared(compiled.string, _arranging(compiled.positiontup, fixed))
        return self[statement]


def _arranging(names: Sequence[str], fixed: Mapping[str, Any]) -> Arrange:
    """How to make the driver's arguments of a statement's values and its own constants."""
    if len(names) == 1:
        name = names[0]
        return lambda values: (values[name],)
    pick: Arrange = itemgetter(*names)
    return (lambda values: pick({**fixed, **values})) if fixed else pick
