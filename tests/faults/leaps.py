"""A clock that is wrong now and then: a year ahead or an hour behind for one call, or a little
behind for a while, which is to change nothing (L4).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Final

from myapp.sessions.core.lifetime import LEAP, SECOND, Clock, SteadyClock

CHANCE: Final = 0.001
"""How often a call of the clock is answered wrongly."""

_SECOND_NS: Final = 1_000_000_000
_YEAR: Final = 365 * 86_400 * _SECOND_NS
_HOUR: Final = 3600 * _SECOND_NS
_LITTLE: Final = LEAP // SECOND * _SECOND_NS // 2
_CALM_CALLS: Final = 2
_CALM: Final = 1.0
"""After one fault so many calls, and seconds, are right: a clock has one leap at a time to follow,
and the first time that it tells is right.
"""


class LeapingWall:
    """A wall clock in nanoseconds. Safe for threads."""

    def __init__(self, chance: float) -> None:
        self._chance, self._dice = chance, random.SystemRandom()
        self._calm_calls, self._calm_until = _CALM_CALLS, 0.0
        self._behind_until = 0.0
        self.wrong_at = -math.inf
        """When it was wrong by much the last time, by the monotonic clock."""

    def __call__(self) -> int:
        """The time, right or wrong."""
        now, wall = time.monotonic(), time.time_ns()
        if now < self._behind_until:
            return wall - _LITTLE
        if self._calm_calls > 0 or now < self._calm_until:
            self._calm_calls -= 1
            return wall
        if self._dice.random() >= self._chance:
            return wall
        self._calm_calls, self._calm_until = _CALM_CALLS, now + _CALM
        fault = self._dice.choice((_YEAR, -_HOUR, -_LITTLE))
        if fault == -_LITTLE:
            self._behind_until = now + self._dice.uniform(0, 2)
            self._calm_until = self._behind_until + _CALM
        else:
            self.wrong_at = now
        return wall + fault


def leaping_clock(chance: float, tell: Callable[[], None]) -> Clock:
    """A process's clock over such a wall; `tell` is called when it is wrong with reason.

    A step back by less than LEAP is none, nor is a leap that was over when others were answered.
    """
    wall, right = LeapingWall(chance), SteadyClock()
    clock = SteadyClock(wall=wall)

    def told() -> int:
        moment = clock()
        if abs(moment - right()) >= LEAP and time.monotonic() - wall.wrong_at < _CALM:
            tell()
        return moment

    return told
