"""Bugs in how connections are shared: among processes, behind a pooler, after an interrupt."""

from __future__ import annotations

import sys
import weakref
from typing import Any

from myapp.database import reason_of
from myapp.sessions.sql.connection import Place
from tests.faults.bugs.bug import Replacement, bug, checker, pytest


@bug(
    "a fork that goes on with its parent's connections",
    function="myapp.sessions.sql.executor:process_id",
    caught_by=checker("(?:error|outage|foreign)", 4000, "--forks", database="postgresql"),
)
def _knows_no_processes(process_id: Replacement) -> int:
    return 0


@bug(
    "prepared statements behind a pooler",
    function="myapp.bounded_psycopg:Connector._settle",
    caught_by=checker("(?:error|outage)", 6000, database="pgbouncer"),
)
def _prepares_anyway(settle: Replacement, connector: Any, connection: Any) -> None:
    threshold = connection.prepare_threshold
    settle(connector, connection)
    connection.prepare_threshold = threshold


@bug(
    "a place that is not given back after an interrupt",
    function="myapp.sessions.sql.opening:Places.take_one",
    caught_by=pytest("tests/sessions/test_interrupts.py", "anywhere and load_anew and sqlite"),
)
def _counts_what_is_gone(take_one: Replacement, places: Any, most: int) -> Place | None:
    if len(places) >= most:
        return None
    place = Place()
    places.add(weakref.ref(place))
    return place if len(places) <= most else None


@bug(
    "a connection that is used on after an interrupt",
    function="myapp.sessions.sql.pool:Pool.close",
    caught_by=pytest("tests/sessions/test_interrupts.py", "anywhere and transact and postgresql"),
)
def _keeps_what_was_interrupted(close: Replacement, pool: Any, connection: Any) -> None:
    error = sys.exception()
    # What is too old, or one too many, is closed when it is given back: by this very function.
    unwanted = connection.generation is not pool._generation or connection.is_spare
    if error is None or isinstance(error, Exception) or unwanted:
        close(pool, connection)
    else:
        pool.give_back(connection)


@bug(
    "an interrupt that leaves the application's connection an answer to read",
    function="myapp.sessions.sql.joined:JoinedWriter._run",
    caught_by=checker("error", 8000, "--interrupts", database="mariadb"),
)
def _leaves_an_answer(
    run: Replacement, writer: Any, statement: Any, values: Any, **options: Any
) -> None:
    words, places = writer._statements[statement](values)
    writer._cursor.execute(writer._prefix + words, places, **options)


@bug(
    "an interrupt that counts as an outage",
    function="myapp.sessions.sql.opening:Opener._trouble",
    caught_by=checker("outage", 20000, "--interrupts", database="postgresql"),
)
def _takes_it_for_an_outage(
    trouble: Replacement, opener: Any, attempt: Any, error: BaseException
) -> Any:
    return opener._breaker.failed(attempt, reason_of(error))
