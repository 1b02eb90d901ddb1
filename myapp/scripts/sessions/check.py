"""`check`: whether the store can be reached and does what it should, a line each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import click

from myapp.environment import printable
from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, print_json, print_table
from myapp.sessions.core.errors import SchemaError, SessionError
from myapp.sessions.core.lifetime import LEAP, MINUTE, SECOND
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.store import TellsTime
from myapp.sessions.core.survey import survey_of
from myapp.sessions.sql.store import SqlStore

OK, FAILED, NOT_ASKED = "ok", "failed", "not asked"
Line = tuple[str, str, str]

LATE: Final = 60 * MINUTE
PILE: Final = 1_000
"""How many rows may remain that expired longer ago than LATE and than three sweeps take."""


@click.command("check")
@json_option
@pass_given
def command(given: Given, as_json: bool) -> None:
    """Check the connection, schema, rights, clock, pooler and backlog.

    To test the rights, it inserts, changes and deletes a row in one transaction, which leaves
    nothing behind. The backlog is the expired rows that nobody has swept.

    \b
    Example:      myapp-sessions production.ini check
    Exit status:  0 all is well, 1 something failed.
    """
    with given.as_it_is() as manager:
        lines = list(_lines(manager))
    columns = ("check", "result", "evidence")
    if as_json:
        print_json([dict(zip(columns, line, strict=True)) for line in lines])
    else:
        print_table(columns, lines)
    raise click.exceptions.Exit(int(any(result == FAILED for _, result, _ in lines)))


def _lines(manager: SessionManager) -> Iterator[Line]:
    checks = {
        "connection": _connection,
        "schema": _schema,
        "rights": _rights,
        "clock": _clock,
        "pooler": _pooler,
        "backlog": _backlog,
    }
    names = iter(checks)
    for name in names:
        result, evidence = _asked(checks[name], manager)
        yield name, result, evidence
        if result == FAILED and name in ("connection", "schema"):
            break
    yield from ((name, NOT_ASKED, "") for name in names)


def _asked(
    check: Callable[[SessionManager], tuple[str, str]], manager: SessionManager
) -> tuple[str, str]:
    try:
        return check(manager)
    except SessionError as error:
        return FAILED, " ".join(str(error).split())


def _connection(manager: SessionManager) -> tuple[str, str]:
    began = time.monotonic()
    # One without its table answers, too: the next line says what it lacks.
    with suppress(SchemaError):
        manager.store.load([bytes(32)])
    took = (time.monotonic() - began) * 1000
    return OK, f"{_name(manager)} answers in {took:.1f} ms"


def _name(manager: SessionManager) -> str:
    settings = manager.settings
    url = manager.store.engine.url if isinstance(manager.store, SqlStore) else None
    return str(settings.store) if url is None else printable(url.render_as_string())


def _schema(manager: SessionManager) -> tuple[str, str]:
    manager.store.check()
    if not isinstance(manager.store, SqlStore):
        return OK, "the store says that nothing is missing"
    return OK, f"the table {manager.store.table.fullname} has all of its columns"


def _rights(manager: SessionManager) -> tuple[str, str]:
    if isinstance(manager.store, SqlStore):
        manager.store.survey.prove_rights()
        return OK, "rows can be read, inserted, changed and deleted"
    manager.check()
    return OK, "the store takes changes"


def _clock(manager: SessionManager) -> tuple[str, str]:
    store = manager.store
    theirs = store.now() if isinstance(store, TellsTime) else None
    if theirs is None:
        return OK, "the store has no clock but this machine's"
    off = abs(theirs - manager.kind.clock()) / SECOND
    words = f"{off:.1f} s between this machine's clock and the database's"
    return (FAILED if off * SECOND > LEAP else OK), words


def _pooler(manager: SessionManager) -> tuple[str, str]:
    store = manager.store
    pooled = store.survey.is_pooled() if isinstance(store, SqlStore) else None
    if not isinstance(store, SqlStore) or not pooled:
        return OK, "only PostgreSQL has one" if pooled is None else "none in transaction mode"
    limit = store.survey.statement_limit()
    if limit != "0":
        return OK, f"there is one; PostgreSQL ends a statement after {limit}"
    missing = "there is one, but statements behind it have no time limit"
    return FAILED, f"{missing}: ALTER ROLE … SET statement_timeout = '5s'"


def _backlog(manager: SessionManager) -> tuple[str, str]:
    late = max(LATE, 3 * (manager.settings.sweep_interval or 0))
    survey = survey_of(manager.store, manager.name)
    left = survey.count_expired(manager.kind.clock() - late)
    words = f"{left:,} rows expired more than {late // MINUTE} minutes ago"
    if left <= PILE:
        return OK, words
    return FAILED, f"{words}: is anything sweeping? `myapp-sessions INI sweep` deletes them"
