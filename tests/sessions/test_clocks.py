"""Machines whose clocks differ, over one database (L4)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from myapp.sessions import SessionManager, make_manager
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.core.sweep import sweep
from myapp.sessions.sql.store import SqlStore
from tests.sessions.app import Clock, create_table
from tests.sessions.test_lifetime import SECOND_NS, Machine

SKEW = 120
LIMIT = 3600

AHEAD, BEHIND = 0, 1


@pytest.fixture
def clock() -> Clock:
    """The true time."""
    return Clock()


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    create_table(database_url)
    store = SqlStore(database_url)
    yield store
    store.close()


@pytest.fixture(params=["lifetime", "idle_timeout"])
def machines(request: pytest.FixtureRequest, store: SqlStore, clock: Clock) -> list[SessionManager]:
    """Two machines, of which the clock of one is ahead by SKEW, with one limit or the other."""
    settings = {f"session.{request.param}": f"{LIMIT}s"}
    return [
        machine(store, lambda: clock() + SKEW * 1000, **settings),
        machine(store, clock, **settings),
    ]


def machine(store: SqlStore, clock: Callable[[], int], **settings: str) -> SessionManager:
    return make_manager(
        read_session_settings({"session.url": "sqlite:////unused"} | settings, {}),
        store,
        clock=clock,
    )


@pytest.mark.parametrize(
    ("maker", "reader"), list(itertools.product((AHEAD, BEHIND), repeat=2)), ids=lambda n: "+-"[n]
)
def test_skew_moves_a_limit_by_at_most_the_skew(
    machines: list[SessionManager], clock: Clock, maker: int, reader: int
) -> None:
    """L4: and not at all on one machine; the sweeper's clock is one like the others."""
    skew = 0 if maker == reader else SKEW
    with machines[maker].session() as session:
        session["key"] = "value"
    clock.forward(LIMIT - skew - 0.001)
    list(sweep(machines[reader].store, machines[reader].kind.clock))
    assert machines[reader].load(session.token) is not None
    clock.forward(2 * skew + 0.001)
    assert machines[reader].load(session.token) is None
    list(sweep(machines[reader].store, machines[reader].kind.clock))
    assert list(machines[reader].store.iterate("session")) == []


def test_a_row_from_the_future_counts_as_new(machines: list[SessionManager], clock: Clock) -> None:
    """L4: it can be read, saved and renewed like any other, and is listed."""
    with machines[AHEAD].session() as session:
        session.sign_in("ann")
    with machines[BEHIND].session(session.token) as later:
        assert later.user_id == "ann"
        later["key"] = "value"
    with machines[BEHIND].session(session.token) as renewed:
        renewed.renew()
    (info,) = machines[BEHIND].of_user("ann")
    assert info.last_seen.timestamp() * 1000 == clock() + SKEW * 1000
    loaded = machines[BEHIND].load(renewed.token)
    assert loaded == {"key": "value"}


@pytest.mark.parametrize("use", ["read", "save", "renew", "sign_in"])
def test_last_seen_never_decreases(
    machines: list[SessionManager], clock: Clock, store: SqlStore, use: str
) -> None:
    """L4: whatever a machine does whose clock is behind."""
    with machines[AHEAD].session() as session:
        session.sign_in("ann")
    (before,) = store.iterate("session")
    for seconds in (SKEW - 1, SKEW):
        with machines[BEHIND].session(session.token) as session:
            assert session.user_id == "ann"
            if use == "save":
                session["key"] = seconds
            elif use == "renew":
                session.renew()
            elif use == "sign_in":
                session.sign_in("ann")
        (after,) = store.iterate("session")
        assert after.seen_at >= before.seen_at
        before = after
        clock.forward(seconds)


def test_a_clock_that_steps_back_changes_nothing(store: SqlStore) -> None:
    """L4: within a process; a session lives as long as it would have, and is seen when it was."""
    here = Machine()
    manager = machine(store, here.clock, **{"session.idle_timeout": f"{LIMIT}s"})
    with manager.session() as session:
        session.sign_in("ann")
    (begun,) = manager.of_user("ann")
    here.pass_(1800 * SECOND_NS, wall_steps=-86_400 * SECOND_NS)
    with manager.session(session.token) as again:
        assert again.user_id == "ann"
    (seen,) = manager.of_user("ann")
    assert (seen.last_seen - begun.last_seen).total_seconds() == 1800
    here.pass_(LIMIT * SECOND_NS - SECOND_NS)
    assert manager.load(session.token) is not None
    here.pass_(SECOND_NS)
    assert manager.load(session.token) is None
