"""A pause after a failed connect, so that nobody waits for a dead database in vain."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.sql.breaker import FIRST_PAUSE, LONGEST_PAUSE, STUCK, Attempt, Breaker


class Clock:
    """A monotonic clock in seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def at_once(count: int, task: Callable[[], Any]) -> list[Any]:
    """Run a task in many threads, started together; their results or StoreUnavailable."""
    barrier = threading.Barrier(count)
    results: list[Any] = []

    def run() -> None:
        barrier.wait(timeout=10)
        try:
            results.append(task())
        except StoreUnavailable as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(results) == count
    return results


def elsewhere(task: Callable[[], Any]) -> Any:
    """Run a task in a thread of its own, and answer its result or StoreUnavailable."""
    (result,) = at_once(1, task)
    return result


def admitted(results: Iterable[Any]) -> int:
    """How many of those who asked may try."""
    return sum(isinstance(result, Attempt) for result in results)


def fail(breaker: Breaker, reason: str = "refused") -> StoreUnavailable:
    """Try, and have no success."""
    return breaker.failed(breaker.admit(), reason)


def attempt_of(breaker: Breaker) -> Attempt | StoreUnavailable:
    """What comes of asking."""
    try:
        return breaker.admit()
    except StoreUnavailable as error:
        return error


def pause_of(breaker: Breaker, clock: Clock) -> float:
    """How long nobody is admitted; the clock then stands where somebody is."""
    start = clock.now
    # What is admitted here is dropped, and so forgotten.
    while not admitted([attempt_of(breaker)]):
        clock.now += FIRST_PAUSE / 4
    return clock.now - start


def test_while_all_is_well_everybody_may_try(breaker: Breaker) -> None:
    """L8: any number at the same time."""
    attempts = at_once(20, breaker.admit)
    assert admitted(attempts) == 20
    breaker.succeeded(attempts[0])
    assert admitted(at_once(20, breaker.admit)) == 20


def test_after_a_failure_everybody_fails_at_once(breaker: Breaker, clock: Clock) -> None:
    """L8: with the reason, and the seconds after which to come again."""
    error = fail(breaker, "connection refused")
    for found in (error, *at_once(20, breaker.admit)):
        assert str(found) == "the session store is unavailable: connection refused"
        assert found.retry_after == 1


def test_the_pause_ends_to_the_moment(breaker: Breaker, clock: Clock) -> None:
    """L8: not before, and then it does."""
    fail(breaker)
    clock.now += FIRST_PAUSE - 0.001
    with pytest.raises(StoreUnavailable):
        breaker.admit()
    clock.now += 0.001
    breaker.admit()


def test_the_pause_grows_with_each_failure_up_to_a_limit(breaker: Breaker, clock: Clock) -> None:
    """L8: short at first, as most outages are, and never so long that the end is missed."""
    pauses = []
    for _ in range(8):
        fail(breaker)
        pauses.append(pause_of(breaker, clock))
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert (pauses[0], pauses[-1]) == (FIRST_PAUSE, LONGEST_PAUSE)


def test_retry_after_is_what_is_left_in_whole_seconds(breaker: Breaker, clock: Clock) -> None:
    """L8: rounded up, and never 0, which would mean at once."""
    for _ in range(5):
        fail(breaker)
        pause_of(breaker, clock)
    assert fail(breaker).retry_after == 5
    left = []
    while isinstance(answer := attempt_of(breaker), StoreUnavailable):
        left.append(answer.retry_after)
        clock.now += 0.99
    assert left == [5, 5, 4, 3, 2, 1]


def test_after_the_pause_one_at_a_time_tries(breaker: Breaker, clock: Clock) -> None:
    """L8: the others go on failing at once, so that one thread at most waits."""
    for _ in range(20):
        fail(breaker)
        clock.now += LONGEST_PAUSE
        results = at_once(20, breaker.admit)
        assert admitted(results) == 1
        (attempt,) = [each for each in results if isinstance(each, Attempt)]
        assert {e.retry_after for e in results if isinstance(e, StoreUnavailable)} == {1}
        breaker.succeeded(attempt)


def test_while_one_tries_nobody_else_does_however_long_it_takes(
    breaker: Breaker, clock: Clock
) -> None:
    """L8: a connect that hangs is waited for by one thread."""
    fail(breaker)
    clock.now += FIRST_PAUSE
    probe = breaker.admit()
    clock.now += 3600
    assert admitted(at_once(5, breaker.admit)) == 0
    breaker.succeeded(probe)


def test_a_success_lets_everybody_in_again(breaker: Breaker, clock: Clock) -> None:
    """L8: and the next outage begins with a short pause."""
    for _ in range(4):
        fail(breaker)
        pause_of(breaker, clock)
    breaker.succeeded(breaker.admit())
    assert admitted(at_once(20, breaker.admit)) == 20
    fail(breaker)
    assert pause_of(breaker, clock) == FIRST_PAUSE


def test_concurrent_failures_count_as_one(breaker: Breaker, clock: Clock) -> None:
    """L8: the requests that were under way when the database died don't lengthen the pause."""
    early, late = at_once(20, breaker.admit), at_once(20, breaker.admit)
    at_once(20, lambda: breaker.failed(early.pop(), "refused"))
    clock.now += FIRST_PAUSE / 2
    at_once(20, lambda: breaker.failed(late.pop(), "timed out"))
    assert pause_of(breaker, clock) == FIRST_PAUSE / 2
    fail(breaker)
    assert pause_of(breaker, clock) == 2 * FIRST_PAUSE


def test_a_late_failure_is_not_taken_for_the_probes(breaker: Breaker, clock: Clock) -> None:
    """L8: a thread that was under way all along neither lengthens the pause nor lets a second
    one try beside the first.
    """
    late = at_once(5, breaker.admit)
    fail(breaker)
    clock.now += FIRST_PAUSE
    probe = breaker.admit()
    at_once(5, lambda: breaker.failed(late.pop(), "timed out"))
    assert admitted(at_once(5, breaker.admit)) == 0
    breaker.failed(probe, "refused")
    assert pause_of(breaker, clock) == 2 * FIRST_PAUSE


def test_a_late_success_counts(breaker: Breaker, clock: Clock) -> None:
    """L8: whoever got a connection, the database is there."""
    late = breaker.admit()
    fail(breaker)
    clock.now += FIRST_PAUSE
    probe = breaker.admit()
    breaker.succeeded(late)
    assert admitted(at_once(5, breaker.admit)) == 5
    assert not probe.is_over


def test_a_failure_after_that_opens_it_anew(breaker: Breaker, clock: Clock) -> None:
    """L8: the probe that a success overtook begins a first pause."""
    late = breaker.admit()
    fail(breaker)
    clock.now += FIRST_PAUSE
    probe = breaker.admit()
    breaker.succeeded(late)
    breaker.failed(probe, "refused")
    assert pause_of(breaker, clock) == FIRST_PAUSE


def test_the_newest_reason_is_told(breaker: Breaker, clock: Clock) -> None:
    """L8: an outage changes its face while it lasts."""
    fail(breaker, "connection refused")
    clock.now += FIRST_PAUSE
    fail(breaker, "the database system is starting up")
    with pytest.raises(StoreUnavailable, match="starting up"):
        breaker.admit()


def test_while_one_waits_long_the_others_do_not_join_it(breaker: Breaker, clock: Clock) -> None:
    """L8: a black-holed database holds up one thread, and not all of a server's."""
    attempt = breaker.admit()
    clock.now += STUCK
    breaker.admit().end()
    clock.now += 0.1
    with pytest.raises(StoreUnavailable):
        breaker.admit()
    breaker.succeeded(attempt)
    breaker.admit()


def test_one_that_waits_long_for_its_turn_is_no_sign_where_others_are_answered(
    breaker: Breaker, clock: Clock
) -> None:
    """L8, L11: a thread among many may get its turn late, on a machine that has much to do."""
    late = breaker.admit()
    clock.now += STUCK
    breaker.succeeded(breaker.admit())
    clock.now += STUCK
    breaker.succeeded(breaker.admit())
    breaker.admit().end()
    # But then it is the only one that anybody knows of.
    clock.now += STUCK + 0.1
    with pytest.raises(StoreUnavailable):
        breaker.admit()
    breaker.succeeded(late)
    breaker.admit()


def test_whoever_was_interrupted_while_trying_is_forgotten(breaker: Breaker, clock: Clock) -> None:
    """L11: an attempt that nobody reports on neither counts as an outage nor keeps others out."""
    breaker.admit()
    clock.now += 3600
    breaker.admit()
    fail(breaker)
    clock.now += FIRST_PAUSE
    probe = breaker.admit()
    assert admitted(at_once(5, breaker.admit)) == 0
    del probe
    assert admitted(at_once(5, breaker.admit)) == 1
