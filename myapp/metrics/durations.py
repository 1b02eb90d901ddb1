"""How long things took, noted by requests and added up later.

A request that adds to a histogram calls eleven functions and takes locks; one that notes a number
in a queue calls one. The queue is added up before the metrics are read, and every few seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from contextlib import suppress
from typing import Any, Final

MOST: Final = 100_000
"""Numbers that are kept if nobody adds them up, since no thread could be started."""


class Durations:
    """The numbers of one histogram. Safe for threads: each step is one operation."""

    def __init__(self, histogram: Any) -> None:
        # prometheus-client offers nothing to add many numbers at once; a test compares what this
        # does with `observe`.
        self._sum, self._buckets = histogram._sum, histogram._buckets
        self._bounds: list[float] = histogram._upper_bounds
        self._waiting: deque[float] = deque(maxlen=MOST)
        self.note = self._waiting.append
        """Note one number, in seconds."""

    def add_up(self) -> None:
        """Add to the histogram what was noted since the last time."""
        taken = []
        with suppress(IndexError):
            for _ in range(len(self._waiting)):
                taken.append(self._waiting.popleft())
        taken.sort()
        self._sum.inc(math.fsum(taken))
        before = 0
        for bound, bucket in zip(self._bounds, self._buckets, strict=True):
            up_to = bisect_right(taken, bound)
            if up_to > before:
                bucket.inc(up_to - before)
            before = up_to
