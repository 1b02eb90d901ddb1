"""Machines whose clocks differ, over one database (L4, W2)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from harness.waiting import wait_until
from myapp.sessions import SessionManager, make_manager
from myapp.sessions.core.errors import DoubtfulClock, SessionError
from myapp.sessions.core.lifetime import LEAP, SteadyClock
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.core.store import SessionStore
from myapp.sessions.core.sweep import Sweeper, sweep
from myapp.sessions.core.trust import STEADY, TrustedClock
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session
from myapp.sessions.testing.memory_store import MemoryStore
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


def test_a_clock_that_steps_back_a_little_changes_nothing(store: SqlStore) -> None:
    """L4: less than five minutes, within a process; a session lives as long as it would have, and
    is seen when it was.
    """
    here = Machine()
    manager = machine(store, here.clock, **{"session.idle_timeout": f"{LIMIT}s"})
    with manager.session() as session:
        session.sign_in("ann")
    (begun,) = manager.of_user("ann")
    here.pass_(1800 * SECOND_NS, wall_steps=-299 * SECOND_NS)
    with manager.session(session.token) as again:
        assert again.user_id == "ann"
    (seen,) = manager.of_user("ann")
    assert (seen.last_seen - begun.last_seen).total_seconds() == 1800
    here.pass_(LIMIT * SECOND_NS - SECOND_NS)
    assert manager.load(session.token) is not None
    here.pass_(SECOND_NS)
    assert manager.load(session.token) is None


def test_a_clock_that_is_a_year_ahead_for_a_moment_ends_nobodys_session(
    store: SqlStore,
) -> None:
    """L4: with the next request all is as before."""
    here, year = Machine(), 365 * 86_400 * SECOND_NS
    manager = machine(store, here.clock, **{"session.idle_timeout": f"{LIMIT}s"})
    with manager.session() as session:
        session.sign_in("ann")
    here.pass_(0, wall_steps=year)
    assert manager.load(session.token) is None
    here.pass_(SECOND_NS, wall_steps=-year)
    with manager.session(session.token) as again:
        assert again.user_id == "ann"
        again["key"] = "value"
    assert manager.load(session.token) == {"key": "value"}


# What is swept by.


YEAR = 365 * 86_400_000


class Owned(MemoryStore):
    """A store of somebody's own, with a clock or without an answer."""

    def __init__(self, theirs: Callable[[], int | None]) -> None:
        super().__init__()
        self.now = theirs


def trusted(store: SessionStore, here: Machine) -> TrustedClock:
    return TrustedClock(store, here.clock, lambda: here.monotonic // 1_000_000)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_database_that_contradicts_the_clock_is_believed(sign: int) -> None:
    """W2: by more than five minutes; both times are named."""
    here = Machine()
    clock = trusted(Owned(lambda: here.wall // 1_000_000 + sign * (LEAP + 1)), here)
    for _ in range(3):
        with pytest.raises(
            DoubtfulClock, match=r"2027-01-15T08:00:00\+00:00.*2027-01-15T0"
        ) as said:
            clock()
        assert "database" in str(said.value)
        assert isinstance(said.value, SessionError)


@pytest.mark.parametrize("difference", [0, LEAP, -LEAP, None])
def test_a_clock_that_is_a_little_off_is_swept_by(difference: int | None) -> None:
    """W2: and so is that of a store that has no clock, or does not tell."""
    here = Machine()
    store = MemoryStore()
    if difference is not None:
        store = Owned(lambda: here.wall // 1_000_000 + difference)
    for passed in (0, 300, 86_400):
        now = here.pass_(passed * SECOND_NS)
        assert trusted(store, here)() == now
        assert trusted(Owned(lambda: None), here)() == now


def test_a_leap_is_not_swept_by_until_it_is_over() -> None:
    """W2: wall clock and monotonic clock disagree since the last sweep."""
    here = Machine()
    clock = trusted(MemoryStore(), here)
    here.pass_(300 * SECOND_NS)
    assert clock() == here.clock()
    here.pass_(0, wall_steps=YEAR * 1_000_000)
    for _ in range(3):
        here.pass_(300 * SECOND_NS)
        with pytest.raises(
            DoubtfulClock, match=r"2028-01-15.*but the time that has passed .* 2027-01-15"
        ):
            clock()
    here.pass_(300 * SECOND_NS, wall_steps=-YEAR * 1_000_000)
    assert clock() == here.clock()


def test_a_leap_that_lasts_is_believed_in_the_end() -> None:
    """W2: a machine that began with a wrong time and was set right sweeps again, an hour later."""
    here = Machine()
    clock = trusted(MemoryStore(), here)
    here.pass_(0, wall_steps=YEAR * 1_000_000)
    doubts = 0
    for _ in range(20):
        here.pass_(300 * SECOND_NS)
        try:
            clock()
        except DoubtfulClock:
            doubts += 1
    assert doubts == STEADY // (300 * 1000)


def test_a_leap_that_the_database_confirms_costs_one_sweep() -> None:
    """W2: the clock was wrong before, and is right now."""
    here = Machine()
    right = here.wall // 1_000_000 + YEAR
    clock = trusted(Owned(lambda: right), here)
    with pytest.raises(DoubtfulClock, match="database"):
        clock()
    here.pass_(0, wall_steps=YEAR * 1_000_000)
    with pytest.raises(DoubtfulClock, match="but the time that has passed"):
        clock()
    assert clock() == here.clock()


def test_the_databases_clock_is_asked(store: SqlStore) -> None:
    """W2: whatever its time zone; a SQLite file has no other than ours."""
    theirs = store.now()
    if store.engine.dialect.name == "sqlite":
        assert theirs is None
    else:
        assert theirs is not None
        assert abs(theirs - SteadyClock()()) < 60_000


def test_a_wrong_clock_deletes_nobodys_session(
    store: SqlStore, caplog: pytest.LogCaptureFixture
) -> None:
    """W2, L4: the thread sweeps nothing by it, says so once, and goes on when it is right."""
    real = SteadyClock()
    live, dead = (a_session(expires_at=real() + end) for end in (YEAR // 2, -1))
    for each in (live, dead):
        store.insert(each)
    looks: list[int] = []
    ahead = YEAR

    def clock() -> int:
        looks.append(ahead)
        return real() + (ahead if len(looks) > 1 else 0)

    sweeper = Sweeper(store, clock, interval=1)
    sweeper.ensure_running()
    try:
        wait_until(lambda: len(looks) > 4, "some sweeps")
        assert {row.digest for row in store.iterate("session")} == {live.digest, dead.digest}
        errors = [r for r in caplog.records if r.levelname == "ERROR"]
        assert [r.message.partition(":")[0] for r in errors] == ["nothing was swept"]
        ahead = 0
        wait_until(lambda: store.count() == 1, "the sweep by the right time")
        assert [row.digest for row in store.iterate("session")] == [live.digest]
    finally:
        sweeper.stop()
