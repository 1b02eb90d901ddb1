"""What a SQL database answers an operator: one statement a question, or one for each batch.

Each reads the table once at most, and gives back neither tokens nor data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    case,
    column,
    func,
    literal_column,
    null,
    select,
)
from sqlalchemy import cast as as_type
from sqlalchemy import table as lightweight_table
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect

import myapp.sessions.sql.statements as sql
from myapp.sessions.core.lifetime import NEVER
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.survey import AGES, IDLE, Size, Tally, Which
from myapp.sessions.core.token import new_handle
from myapp.sessions.sql.connection import Connection
from myapp.sessions.sql.exactly import Exactly
from myapp.sessions.sql.executor import Executor
from myapp.sessions.sql.model import table

_c: Final = table.c
_NAMES: Final = [name for name in StoredSession.__struct_fields__ if name != "data"]
_LISTED: Final = [_c[name] for name in _NAMES]

SIGNED_IN, ANONYMOUS, EXPIRED, MARKER = range(4)

_LIVE: Final = and_(
    _c.expires_at > bindparam("now"),
    _c.deadline > bindparam("now"),
    _c.seen_at > bindparam("seen_after"),
)
_CONDITIONS: Final[Mapping[str, ColumnElement[bool]]] = {
    "live_at": _LIVE,
    "user_id": Exactly(_c.user_id, bindparam("user_id")),
    "address": Exactly(_c.address, bindparam("address")),
    "began_before": _c.created_at < bindparam("began_before"),
    "seen_before": _c.seen_at < bindparam("seen_before"),
}


@cache
def _meant(given: tuple[str, ...]) -> ColumnElement[bool]:
    named = [_CONDITIONS[name] for name in given]
    return and_(_c.manager == bindparam("manager"), _c.ended.is_(None), *named)


# One statement for each set of conditions, made once: they are compiled by their identity.
@cache
def _count(given: tuple[str, ...]) -> Select[Any]:
    return select(func.count()).select_from(table).where(_meant(given))


@cache
def _newest(given: tuple[str, ...]) -> Select[Any]:
    by_age = select(*_LISTED).where(_meant(given)).order_by(_c.created_at.desc(), _c.digest.desc())
    return by_age.limit(bindparam("limit"))


@cache
def _all(given: tuple[str, ...]) -> Select[Any]:
    return select(*_LISTED).where(_meant(given))


@cache
def _next(given: tuple[str, ...]) -> Select[Any]:
    after = select(*_LISTED).where(_c.digest > bindparam("after"), _meant(given))
    return after.order_by(_c.digest).limit(sql.BATCH)


def _place(column: ColumnElement[int], edges: Sequence[int]) -> ColumnElement[int]:
    """In which place a moment of the past is counted, see `place_in`."""
    numbered: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = [
        (column > bindparam("now") - literal_column(str(edge)), literal_column(str(place)))
        for place, edge in enumerate(edges)
    ]
    return case(*numbered, else_=literal_column(str(len(edges))))


_KIND: Final = case(
    (_c.ended.is_not(None), literal_column(str(MARKER))),
    (~_LIVE, literal_column(str(EXPIRED))),
    (_c.user_id.is_(None), literal_column(str(ANONYMOUS))),
    else_=literal_column(str(SIGNED_IN)),
)
# Grouped by name: by the expressions PostgreSQL would see other parameters in each.
_TALLY: Final = (
    select(
        _KIND.label("session_kind"),
        _place(_c.created_at, AGES).label("session_age"),
        _place(_c.seen_at, IDLE).label("session_idle"),
        func.count(),
    )
    .where(_c.manager == bindparam("manager"))
    .group_by(*map(literal_column, ("session_kind", "session_age", "session_idle")))
)
# By the index first: what was touched since it was due is found, and left out, afterwards.
_COUNT_EXPIRED: Final = sql.count_due.where(_c.expires_at <= bindparam("now"))


def _asking(*expressions: ColumnElement[Any]) -> Select[Any]:
    return select(*expressions)


_NAME_OF_TABLE: Final = as_type(bindparam("name"), postgresql.REGCLASS)
_TABLES: Final = lightweight_table(
    "tables",
    *map(column, ("table_schema", "table_name", "data_length", "index_length")),
    schema="information_schema",
)
_NOT_TOLD: Final[ColumnElement[Any]] = null()
_SIZES: Final[Mapping[str, Select[Any]]] = {
    "postgresql": _asking(
        as_type(func.pg_table_size(_NAME_OF_TABLE), BigInteger),
        as_type(func.pg_indexes_size(_NAME_OF_TABLE), BigInteger),
        _NOT_TOLD,
    ),
    "sqlite": _asking(
        _NOT_TOLD,
        _NOT_TOLD,
        literal_column("(SELECT page_count FROM pragma_page_count)")
        * literal_column("(SELECT page_size FROM pragma_page_size)"),
    ),
    **dict.fromkeys(
        ("mysql", "mariadb"),
        _asking(_TABLES.c.data_length, _TABLES.c.index_length, _NOT_TOLD).where(
            _TABLES.c.table_schema == func.coalesce(bindparam("schema"), func.database()),
            _TABLES.c.table_name == bindparam("plain"),
        ),
    ),
}


class SqlSurvey:
    """A Survey of the sessions table, and what else an operator asks of its database."""

    def __init__(self, executor: Executor, dialect: Dialect, table: Table, quoted: str) -> None:
        """`quoted`: the table's name as it stands in statements."""
        self._executor, self._dialect = executor, dialect
        self._table, self._quoted = table, quoted

    def tally(self, manager: str, now: int, idle_timeout: int | None) -> Tally:
        counts = [0] * 4
        ages, idle = [0] * (len(AGES) + 1), [0] * (len(IDLE) + 1)
        values = {"manager": manager, "now": now, "seen_after": _seen_after(now, idle_timeout)}
        for kind, age, since, number in self._rows(_TALLY, values):
            counts[kind] += number
            if kind in (SIGNED_IN, ANONYMOUS):
                ages[age] += number
                idle[since] += number
        return Tally(
            signed_in=counts[SIGNED_IN],
            anonymous=counts[ANONYMOUS],
            expired=counts[EXPIRED],
            markers=counts[MARKER],
            ages=ages,
            idle=idle,
        )

    def count(self, which: Which) -> int:
        ((number,),) = self._rows(_count(_given(which)), _values(which))
        return int(number)

    def newest(self, which: Which, limit: int) -> Sequence[StoredSession]:
        return self._sessions(_newest(_given(which)), _values(which) | {"limit": limit})

    def matching(self, which: Which) -> Iterator[StoredSession]:
        if which.user_id is not None:
            # A user has few. In the order of the digests SQLite would look at everybody's.
            yield from self._sessions(_all(_given(which)), _values(which))
            return
        after = b""
        while batch := self._sessions(_next(_given(which)), _values(which) | {"after": after}):
            yield from batch
            after = batch[-1].digest

    def count_expired(self, now: int) -> int:
        ((number,),) = self._rows(_COUNT_EXPIRED, {"now": now})
        return int(number)

    def size(self) -> Size | None:
        values = {
            "name": self._quoted,
            "schema": self._table.schema,
            "plain": str(self._table.name),
        }
        for found in self._rows(_SIZES[self._dialect.name], values):
            numbers = [None if number is None else int(number) for number in found]
            return Size(table=numbers[0], indexes=numbers[1], file=numbers[2])
        return None

    def prove_rights(self) -> None:
        """Insert, update and delete a row of nobody's in one transaction, which leaves nothing.

        Raises StoreUnavailable, with the database's words, where one of it is not allowed.
        """
        self._executor.run(_write_and_delete, single=False)

    def is_pooled(self) -> bool | None:
        """Whether a pooler in transaction mode stands before PostgreSQL; None on others."""
        if self._dialect.name != "postgresql":
            return None
        return bool(self._executor.run(_is_pooled))

    def statement_limit(self) -> str:
        """The limit of a statement that PostgreSQL keeps to, as it names it; "0" is none."""
        ((limit,),) = self._rows(sql.statement_limit, {})
        return str(limit)

    def _rows(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        return self._executor.run(Connection.fetch_all, statement, values)

    def _sessions(
        self, statement: Select[Any], values: Mapping[str, Any]
    ) -> Sequence[StoredSession]:
        rows = self._rows(statement, values)
        return [StoredSession(data=b"", **dict(zip(_NAMES, row, strict=True))) for row in rows]


def _given(which: Which) -> tuple[str, ...]:
    return tuple(name for name in _CONDITIONS if getattr(which, name) is not None)


def _values(which: Which) -> dict[str, Any]:
    values = {name: getattr(which, name) for name in _given(which)}
    live = {"now": which.live_at, "seen_after": _seen_after(which.live_at or 0, which.idle_timeout)}
    return {"manager": which.manager, **values, **live}


def _seen_after(now: int, idle_timeout: int | None) -> int:
    """A session seen before then has idled out; one from the future has not."""
    return -NEVER if idle_timeout is None else now - idle_timeout


def _is_pooled(connection: Connection) -> bool:
    return bool(getattr(connection.driver, "is_unlimited", False))


def _write_and_delete(connection: Connection) -> None:
    digest = os.urandom(32)
    nobody = StoredSession(
        digest=digest,
        manager="check",
        handle=new_handle(0),
        version=1,
        data=b"",
        created_at=0,
        seen_at=0,
        deadline=1,
        expires_at=1,
    )
    connection.insert(nobody)
    connection.execute(sql.lock, {"b_digest": digest, "owner": "check", "now": 0, "until": 0})
    connection.execute(sql.remove, {"b_digest": digest})
