"""Statements compiled once for a dialect, to be run on the driver's own cursor.

SQLAlchemy's execution costs several times as much as the driver's, because it wraps the connection,
the result and the rows at each call. So the store bypasses it. The text is still SQLAlchemy's, so
that the table's definition stays in one place. Values may only be whole numbers, text and bytes,
which every driver accepts and returns unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Executable, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import visitors

from myapp.sessions.sql import model

Fill = Callable[[Mapping[str, Any]], tuple[str, Sequence[Any]]]
"""Makes the arguments of a driver's `execute` of the values of a statement."""


class CompiledStatements(dict[Executable, Fill]):
    """The statements of one dialect on one table, each compiled when it is first asked for."""

    def __init__(self, dialect: Dialect, table: Table = model.table) -> None:
        """`table`: the sessions table by the name that it has there, see `model.named`."""
        super().__init__()
        self._table = table
        # Places instead of names: psycopg takes 4 µs more to look the names up, each time.
        by_name = dialect.paramstyle == "pyformat"
        kind: Any = type(dialect)
        self._dialect: Dialect = kind(paramstyle="format") if by_name else dialect

    def __missing__(self, statement: Executable) -> Fill:
        with_text: Any = _on(self._table, statement)
        self[statement] = _filling(with_text.compile(dialect=self._dialect))
        return self[statement]


def _on(table: Table, statement: Any) -> Any:
    """A statement of ours on another table than the model's, with the same columns."""

    def replace(element: Any, **options: Any) -> Any:
        if element is model.table:
            return table
        is_ours = isinstance(element, Column) and element.table is model.table
        return table.c[element.key] if is_ours else None

    if table is model.table:
        return statement
    return visitors.replacement_traverse(statement, {}, replace)


def _filling(compiled: Any) -> Fill:
    if any(parameter.expanding for parameter in compiled.binds.values()):
        return lambda values: _expanded(compiled, values)
    text, names = compiled.string, compiled.positiontup
    constants = {n: each.value for n, each in compiled.binds.items() if not each.required}
    if constants or not names:
        return lambda values: (text, _picked(names, {**constants, **values}))
    if len(names) == 1:
        (only,) = names
        return lambda values: (text, (values[only],))
    pick: Callable[[Mapping[str, Any]], Sequence[Any]] = itemgetter(*names)
    return lambda values: (text, pick(values))


def _picked(names: Sequence[str], values: Mapping[str, Any]) -> Sequence[Any]:
    return [values[name] for name in names]


def _expanded(compiled: Any, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
    """A statement with `IN`, written out for as many values as there are."""
    state = compiled.construct_expanded_state(values)
    return state.statement, state.positional_parameters
