"""Whether a text is another one to the letter, in words that each database has.

MariaDB and MySQL compare as if the shorter text had blanks at its end, unless a collation says
otherwise; which one does has another name on each of them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, ColumnElement, and_, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Exactly(FunctionElement[Any]):
    """`Exactly(column, parameter)`: a condition that lets the database use an index.

    It has no type. SQLAlchemy compares a boolean with 1 where a database has none of its own, and
    with `column = ? = 1` SQLite uses no index.
    """

    name = "exactly"
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], given: BindParameter[Any]) -> None:
        super().__init__(column, given)


@compiles(Exactly)
def _equal(element: Exactly, compiler: SQLCompiler, **options: Any) -> str:
    column, given = element.clauses
    return compiler.process(column == given, **options)


@compiles(Exactly, "mysql", "mariadb")
def _equal_and_of_one_length(element: Exactly, compiler: SQLCompiler, **options: Any) -> str:
    # What differs in blanks at the end alone differs in length. In characters: the connection may
    # have another character set than the column.
    column, given = element.clauses
    same_length = func.char_length(column) == func.char_length(given)
    return compiler.process(and_(column == given, same_length), **options)
