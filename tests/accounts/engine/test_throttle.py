"""Throttling: what passes, what has to wait, and what nobody gets round."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyramid.request import Request
from pyramid_retry import is_error_retryable
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from myapp.accounts.models import Throttle as Counted
from myapp.accounts.models import User
from myapp.accounts.throttle import (
    SIGN_IN_BY_ACCOUNT,
    SIGN_IN_BY_BROWSER,
    SIGN_IN_BY_NETWORK,
    Limit,
    Throttle,
    ThrottleUnavailable,
    network_of,
)
from myapp.database import create_database_engine
from tests.accounts.engine.conftest import NOW

THREE = Limit("three, then one a minute", 3, 60_000)
MINUTE = 60_000
YEAR = 365 * 24 * 60 * MINUTE


@pytest.fixture
def throttle(engine: Engine) -> Throttle:
    return Throttle(engine, True)


def test_a_burst_passes_and_then_one_each_interval(throttle: Throttle) -> None:
    """A4: who is refused is told how long to wait, and loses nothing by having asked."""

    def waits(now: int) -> int:
        return throttle.try_all([(THREE, "ann")], now)

    assert [waits(NOW) for _ in range(5)] == [0, 0, 0, MINUTE, MINUTE]
    assert waits(NOW + MINUTE - 1) == 1
    assert [waits(NOW + MINUTE) for _ in range(2)] == [0, MINUTE]
    assert [waits(NOW + 9 * MINUTE) for _ in range(4)] == [0, 0, 0, MINUTE]
    assert throttle.try_all([(THREE, "bob")], NOW) == 0


def test_throttle_passed_by_parallel_requests(throttle: Throttle) -> None:
    """A4: of those who come at once as many pass as may, be the subject new or known."""
    limit, threads = Limit("seven", 7, MINUTE), 8
    barrier = threading.Barrier(threads)

    def attempts(_: int) -> list[int]:
        barrier.wait(timeout=20)
        return [throttle.try_all([(limit, "ann")], NOW) for _ in range(3)]

    with ThreadPoolExecutor(threads) as pool:
        waits = [wait for each in pool.map(attempts, range(threads)) for wait in each]
    assert waits.count(0) == 7


def test_throttle_reset_by_an_abort(engine: Engine, throttle: Throttle, ann: int) -> None:
    """A4: the request's transaction is rolled back, what was counted stays."""
    for _ in range(3):
        with Session(engine) as dbsession:
            dbsession.get(User, ann)
            assert throttle.try_all([(THREE, "ann")], NOW) == 0
            dbsession.rollback()
    assert throttle.try_all([(THREE, "ann")], NOW) == MINUTE


def test_owner_locked_out_by_others(throttle: Throttle) -> None:
    """A4: neither strangers' attempts nor those refused to a network touch what the owner has."""
    for _ in range(SIGN_IN_BY_ACCOUNT.burst):
        throttle.try_all([(SIGN_IN_BY_ACCOUNT, "ann")], NOW)
    assert throttle.try_all([(SIGN_IN_BY_ACCOUNT, "ann")], NOW)
    assert throttle.try_all([(SIGN_IN_BY_BROWSER, "ann home")], NOW) == 0

    for _ in range(SIGN_IN_BY_NETWORK.burst):
        throttle.try_all([(SIGN_IN_BY_NETWORK, "192.0.2.1")], NOW)
    both = [(SIGN_IN_BY_NETWORK, "192.0.2.1"), (SIGN_IN_BY_ACCOUNT, "bob")]
    assert all(throttle.try_all(both, NOW) for _ in range(50))
    elsewhere = [(SIGN_IN_BY_NETWORK, "192.0.2.2"), (SIGN_IN_BY_ACCOUNT, "bob")]
    assert throttle.try_all(elsewhere, NOW) == 0


def test_a_wrong_clock_locks_nobody_out(engine: Engine, throttle: Throttle) -> None:
    """A4: a moment that no attempts lead to is none."""
    for _ in range(3):
        throttle.try_all([(THREE, "ann")], NOW + YEAR)
    assert [throttle.try_all([(THREE, "ann")], NOW) for _ in range(4)] == [0, 0, 0, MINUTE]
    with engine.begin() as connection:
        connection.execute(update(Counted).values(free_at=NOW + 5 * MINUTE))
    assert throttle.try_all([(THREE, "ann")], NOW) == 3 * MINUTE


def test_the_table_tells_nobody_who_was_here(engine: Engine, throttle: Throttle) -> None:
    """A4: it holds digests, and one row a subject; a text that is none is a subject, too."""
    for subject in ("ann@example.com", "ann@example.com", "\ud800\0"):
        throttle.try_all([(THREE, subject)], NOW)
    with engine.connect() as connection:
        rows = connection.execute(select(Counted.digest)).all()
    assert sorted(len(row.digest) for row in rows) == [32, 32]


def test_nobody_passes_in_an_outage() -> None:
    """A4: and the error is none for which the request is tried again, uncounted."""
    engine = create_database_engine("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(ThrottleUnavailable) as caught:
        Throttle(engine, True).try_all([(THREE, "ann")], NOW)
    assert not is_error_retryable(Request.blank("/"), caught.value)
    assert Throttle(engine, False).try_all([(THREE, "ann")], NOW) == 0


def test_a_lock_not_obtained_lets_nobody_pass(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A4: an error that is worth another attempt of the request is none here."""
    url = f"sqlite:///{tmp_path_factory.mktemp('locked') / 'locked.sqlite'}?timeout=0"
    engine = create_database_engine(url)
    Counted.metadata.create_all(engine)
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(ThrottleUnavailable) as caught:
            Throttle(engine, True).try_all([(THREE, "ann")], NOW)
    assert not is_error_retryable(Request.blank("/"), caught.value)
    engine.dispose()


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("unix:", "unknown"),
        # What X-Forwarded-For may hold is no address.
        ("203.0.113.9, 192.0.2.7", "unknown"),
        ("192.0.2.07", "unknown"),
    ],
)
def test_a_network_is_what_one_customer_has(address: str, network: str) -> None:
    """A4: who has a /64 has 2^64 addresses, and is one."""
    assert network_of(address) == network
