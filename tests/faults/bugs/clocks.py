"""Bugs in what is believed of a clock that leaps."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.bug import Replacement, bug, checker

CLOCK = "myapp.sessions.core.lifetime:SteadyClock.__call__"


@bug(
    "a clock's leap that the sweeper believes",
    function="myapp.sessions.core.trust:TrustedClock._ran_steadily",
    caught_by=checker("lost", 8000, "--leaps"),
)
def _trusts_any_clock(
    ran_steadily: Replacement, clock: Any, ahead: int, steady: int, *, confirmed: bool
) -> bool:
    return True


@bug(
    "a clock's leap that blinds the process for good",
    function=CLOCK,
    caught_by=checker("lost", 8000, "--leaps"),
)
def _never_steps_back(tell: Replacement, clock: Any) -> int:
    steady = clock._monotonic()
    clock._offset = max(clock._offset, clock._wall() - steady)
    return int(steady + clock._offset) // 1_000_000


@bug(
    "a clock's small step back that is followed",
    function=CLOCK,
    caught_by=checker("lost", 20000, "--leaps"),
)
def _steps_back_at_once(tell: Replacement, clock: Any) -> int:
    return int(clock._wall()) // 1_000_000
