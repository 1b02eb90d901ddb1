"""Statements compiled once for a dialect, to be run on the driver's own cursor.

SQLAlchemy's execution costs several times what the driver's does: it wraps connection, result and
rows at each call. So the store goes past it. The text is still SQLAlchemy's, so that the table's
definition stays in one place. Values may be whole numbers, texts and bytes only, which each driver
takes and gives as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.engine import Dialect

Fill = Callable[[Mapping[str, Any]], tuple[str, Sequence[Any]]]
"""Makes the arguments of a driver's `execute` of the values of a statement."""


class CompiledStatements(dict[Executable, Fill]):
    """The statements of one dialect, each compiled when it is first asked for."""

    def __init__(self, dialect: Dialect, schema: str | None = None) -> None:
        """`schema`: where to say that the table is; None leaves it to the connection."""
        super().__init__()
        self._schemas = {None: schema} if schema else None
        # Places instead of names: psycopg takes 4 µs more to look the names up, each time.
        by_name = dialect.paramstyle == "pyformat"
        kind: Any = type(dialect)
        self._dialect: Dialect = kind(paramstyle="format") if by_name else dialect

    def __missing__(self, statement: Executable) -> Fill:
        with_text: Any = statement
        compiled = with_text.compile(
            dialect=self._dialect,
            schema_translate_map=self._schemas,
            render_schema_translate=self._schemas is not None,
        )
        self[statement] = _filling(compiled)
        return self[statement]


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
