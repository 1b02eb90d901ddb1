"""One of the driver's connections, in autocommit, with a cursor that stays open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import finalize

from sqlalchemy import Executable
from sqlalchemy.engine import Dialect

from myapp.sessions.core.fork import keep_for_ever, process_id
from myapp.sessions.sql.compiled import CompiledStatements
from myapp.sessions.sql.encoding import codec_of
from myapp.sessions.sql.writer import SqlWriter

T = TypeVar("T")


class Place:
    """The right to have one connection; it ends when it is left, or dropped."""

    __slots__ = ("__weakref__", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        """Whether it was used: there is a connection."""


class Connection(SqlWriter):
    """A connection for one thread at a time; `generation` is the pool's when it was opened, and
    `place` what it takes there. One that nobody refers to any more is closed.
    """

    __slots__ = (
        *("__weakref__", "_begin", "_statements", "cursor", "driver", "generation"),
        *("close", "is_spare", "place"),
    )

    def __init__(
        self,
        driver: Any,
        dialect: Dialect,
        statements: CompiledStatements,
        generation: object,
        place: Place,
    ) -> None:
        super().__init__(dialect.name)
        self.driver = driver
        self.generation, self.place = generation, place
        self.is_spare = False
        """Whether it is closed when so many others are idle."""
        # What psycopg asks for in binary, neither side has to spell out as text.
        options = {"binary": True} if dialect.driver == "psycopg" else {}
        self.cursor: Any = driver.cursor(**options)
        self.close = finalize(self, _close, driver, self.cursor, process_id())
        """Closes the connection in any state; dropping it closes it, too."""
        # When the process ends, a thread may still be using it.
        self.close.atexit = False
        # SQLite takes its one write lock at once, so that it waits for it and never fails later.
        self._begin = "BEGIN IMMEDIATE" if dialect.name == "sqlite" else "BEGIN"
        self._statements = statements
        self.codec = codec_of(driver)

    def execute(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """Run a statement; how many rows it met."""
        self.cursor.execute(*self._statements[statement](values))
        met: int = self.cursor.rowcount
        return met

    def fetch_one(self, statement: Executable, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The row that a statement finds, if it finds one."""
        self.cursor.execute(*self._statements[statement](values))
        row: tuple[Any, ...] | None = self.cursor.fetchone()
        return row

    def fetch_all(
        self, statement: Executable, values: Mapping[str, Any]
    ) -> Sequence[tuple[Any, ...]]:
        """All rows that a statement finds."""
        self.cursor.execute(*self._statements[statement](values))
        rows: Sequence[tuple[Any, ...]] = self.cursor.fetchall()
        return rows

    def columns(self, statement: Executable) -> set[str]:
        """The names of the columns that a statement answers."""
        self.fetch_all(statement, {})
        return {column[0] for column in self.cursor.description}

    def transact(self, use: Callable[..., T], *arguments: Any) -> T:
        """Several statements as one. After an error either roll back, or close the connection."""
        self.cursor.execute(self._begin)
        answer = use(self, *arguments)
        self.cursor.execute("COMMIT")
        return answer

    def roll_back(self) -> bool:
        """Undo what a transaction has done so far. False if nobody knows what state it is in."""
        try:
            self.cursor.execute("ROLLBACK")
        except Exception:
            return False
        return True


def _close(driver: Any, cursor: Any, process: int) -> None:
    if process != process_id():
        # Another process has it: the database would hear that it was closed here.
        keep_for_ever((driver, cursor))
        return
    # SQLite keeps a closed connection, and its lock, as long as there is a cursor on it: with an
    # error's traceback that may be long.
    for each in (cursor, driver):
        with suppress(Exception):
            each.close()
