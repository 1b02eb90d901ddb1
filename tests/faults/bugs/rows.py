"""Bugs in what is read from the table and written to it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from sqlalchemy import bindparam, delete, null, update
from sqlalchemy.sql import visitors

import myapp.sessions.sql.statements as sql
from myapp.sessions.sql import model
from tests.faults.bugs.bug import Replacement, bug, checker, pytest

COMPILED = "myapp.sessions.sql.compiled:_on"
"""Through which each statement passes before it is compiled for a table."""


@bug("upsert instead of update", function=COMPILED, caught_by=checker("ended"))
def _revives(on: Replacement, table: Any, statement: Any) -> Any:
    if statement in sql.update_one:
        names = ("version", "data", "seen_at", "expires_at", "deadline")
        statement = (
            update(model.table)
            .where(model.table.c.digest == bindparam("b_digest"))
            .values({name: bindparam(name) for name in names})
            .values(ended=null(), sweep_at=bindparam("expires_at"))
        )
    return on(table, statement)


@bug("no version check", function=COMPILED, caught_by=checker("write"))
def _takes_any_version(on: Replacement, table: Any, statement: Any) -> Any:
    def without_version(element: Any, **options: Any) -> Any:
        return sql._is_live if element is sql._is_at_version else None

    return on(table, visitors.replacement_traverse(statement, {}, without_version))


@bug(
    "a sweeper that doesn't check again",
    function=COMPILED,
    caught_by=pytest("tests/faults/test_sweep_race.py", "sqlite"),
)
def _sweeps_what_lives(on: Replacement, table: Any, statement: Any) -> Any:
    blind = delete(model.table).where(sql._these)
    return on(table, blind if statement is sql.sweep else statement)


@bug("a lock that lets everybody in", function=COMPILED, caught_by=checker("count", 8000))
def _locks_nobody_out(on: Replacement, table: Any, statement: Any) -> Any:
    open_to_all = (
        update(model.table)
        .where(sql._is_live)
        .values(lock_owner=bindparam("owner"), locked_until=bindparam("until"))
    )
    return on(table, open_to_all if statement is sql.lock else statement)


@bug(
    "a touch that writes data",
    function="myapp.sessions.core.saving:Save._touch",
    caught_by=pytest("tests/faults/test_touch_race.py", "sqlite"),
)
def _writes_at_a_touch(touch: Replacement, save: Any, row: Any) -> None:
    store = save.kind.store
    for found in store.load([row.digest]):
        written = replace(row, version=found.version + 1, seen_at=save.kind.clock())
        store.update(written, found.version)


@bug(
    "a digest without the manager's name (L10)",
    function="myapp.sessions.core.token:digest",
    caught_by=checker("manager"),
)
def _knows_no_managers(digest: Replacement, manager: str, token: str) -> Any:
    return digest("", token)
