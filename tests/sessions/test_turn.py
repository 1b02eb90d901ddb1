"""Standing in line: first come, first served, and nobody is forgotten (S4, L11)."""

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor as Threads

import pytest

import myapp.sessions.core
from harness.waiting import wait_until
from myapp.sessions.core.turn import Line, Lines, Turn
from tests.sessions.interrupting import interrupted_everywhere

PATIENCE = 60.0
"""Seconds: longer than any test, however busy the machine."""


@pytest.fixture
def threads() -> Iterator[Threads]:
    with Threads(10) as pool:
        yield pool


class Order:
    """Who had their turn, in this order."""

    def __init__(self, line: Line) -> None:
        self.served: list[int] = []
        self._line = line

    def join(self, threads: Threads, number: int) -> Future[None]:
        """Let one stand in line, as the last."""
        before = len(self._line._standing)
        done = threads.submit(self._serve, number)
        wait_until(lambda: len(self._line._standing) > before, "one more in the line")
        return done

    def _serve(self, number: int) -> None:
        with self._line.turn(PATIENCE):
            self.served.append(number)


def test_whoever_came_first_is_served_first(threads: Threads) -> None:
    """S4: one at a time."""
    line = Line()
    order = Order(line)
    with line.turn(PATIENCE):
        done = [order.join(threads, number) for number in range(5)]
        assert order.served == []
    for each in done:
        each.result(PATIENCE)
    assert order.served == [0, 1, 2, 3, 4]


def test_it_is_closed_until_its_first_one_leaves() -> None:
    """S4: and no longer, though an error's traceback may still hold what was on the way."""
    line = Line()

    def fail() -> None:
        with line.turn(PATIENCE):
            line.close()
            assert line.is_closed
            raise LookupError

    with pytest.raises(LookupError) as raised:
        fail()
    assert not line.is_closed
    assert raised.tb is not None


def test_everybody_else_has_another_line() -> None:
    """S4: a session that many save holds up no other. A line is gone with the last of them."""
    lines = Lines()
    hot, other = bytes(32), bytes(31) + b"1"
    line = lines.of(hot)
    assert lines.of(hot) is line
    with line.turn(PATIENCE):
        line.close()
        assert lines.is_closed(hot)
        assert not lines.is_closed(other)
    gone = weakref.ref(line)
    del line
    assert gone() is None


def test_two_who_leave_at_once_both_call_the_next_one(threads: Threads) -> None:
    """L11: the second call is no error to whoever has just saved."""
    line = Line()
    following: Turn[bool] = Turn()
    line._standing.append(following.reference)
    for _ in range(2):
        first: Turn[bool] = Turn()
        line._standing.appendleft(first.reference)
        line._leave(first)
    assert following.given


def test_whoever_waits_too_long_goes_on_and_harms_nobody(threads: Threads) -> None:
    """L11: the others keep their order."""
    line = Line()
    order = Order(line)
    with line.turn(PATIENCE):
        done = order.join(threads, 0)
        with line.turn(0.01):
            assert order.served == []
    done.result(PATIENCE)
    assert order.served == [0]


def test_an_interrupt_anywhere_holds_nobody_up() -> None:
    """L11: whoever stands behind has their turn all the same."""
    line = Line()

    def wait_and_leave() -> None:
        begun, leave = threading.Event(), threading.Event()

        def stand_before() -> None:
            with line.turn(PATIENCE):
                begun.set()
                leave.wait(0.02)

        before = threading.Thread(target=stand_before)
        before.start()
        begun.wait(PATIENCE)
        try:
            with line.turn(PATIENCE):
                line.close()
        finally:
            leave.set()
            before.join()

    def check(place: str) -> None:
        with line.turn(0.0):
            assert [each() for each in line._standing if each() is not None][1:] == [], place
        assert not line.is_closed, place

    folder = str(next(iter(myapp.sessions.core.__path__)))
    assert interrupted_everywhere(wait_and_leave, check, (f"{folder}/turn.py",)) > 10
