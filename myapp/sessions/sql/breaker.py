"""After a failed connect, don't let every request wait for the next one to fail (L8).

For a short, growing pause nobody tries; then one at a time does, and the others go on failing at
once, so that threads waiting for a dead database don't starve the pages that need none.

There is no lock here either, see `pool`: whoever is interrupted while trying is forgotten as soon
as the attempt is collected.
"""

from __future__ import annotations

import math
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.sql.outages import Outages, Trouble

FIRST_PAUSE: Final = 0.25  # seconds
LONGEST_PAUSE: Final = 5.0
STUCK: Final = 1.0
"""Seconds for which one thread may wait for the answer to a connect before others no longer try."""


class _Probe:
    """The right to be the one that tries after a pause."""


class Attempt:
    """A connect that is under way."""

    __slots__ = ("__weakref__", "is_over", "probe", "since")

    def __init__(self, since: float, probe: _Probe | None) -> None:
        self.since, self.probe, self.is_over = since, probe, False

    def end(self) -> None:
        """Nobody waits for it any more; what became of it says nothing about the database."""
        self.is_over, self.probe = True, None


class _Pause:
    """From a failed connect to one that succeeds."""

    def __init__(self, now: float) -> None:
        self.until, self._next, self.reason = now + FIRST_PAUSE, 2 * FIRST_PAUSE, ""
        self._probes: deque[_Probe] = deque(maxlen=1)
        self._offer()

    def _offer(self) -> None:
        probe = _Probe()
        self._probe = weakref.ref(probe)
        self._probes.append(probe)

    def claim(self) -> _Probe | None:
        """The right to try, for one at a time."""
        if not self._probes and self._probe() is None:
            self._offer()  # whoever had it was interrupted
        try:
            return self._probes.pop()
        except IndexError:
            return None

    def owns(self, probe: _Probe | None) -> bool:
        """Whether this is the one that tries."""
        return probe is not None and self._probe() is probe

    def lengthen(self, now: float) -> None:
        """The one that tried has failed."""
        self.until = now + self._next
        self._next = min(2 * self._next, LONGEST_PAUSE)
        self._offer()


class Breaker:
    """Says whether a connection may be tried now. Shared by all threads of a process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.outages = Outages(monotonic)
        self._attempts: set[weakref.ref[Attempt]] = set()
        self.answered = -math.inf
        """When the database last gave a sign of life: when a connect was answered, or when a
        statement was sent that was answered.
        """
        self._pauses: dict[None, _Pause] = {}  # one at most

    def admit(self) -> Attempt:
        """Leave to try, for whoever then reports what became of it.

        Raises StoreUnavailable at once where nobody may.
        """
        self.refuse_while_stuck()
        pause = self._pauses.get(None)
        attempt = Attempt(self._monotonic(), None if pause is None else self._claim(pause))
        self._attempts.add(weakref.ref(attempt, self._attempts.discard))
        return attempt

    @property
    def is_stuck(self) -> bool:
        """Whether somebody has waited for a connect for long already, and nobody had an answer
        meanwhile: a thread may wait long for its turn where many connect.
        """
        attempts = [reference() for reference in self._attempts.copy()]
        since = [each.since for each in attempts if each is not None and not each.is_over]
        return bool(since) and self._monotonic() - max(min(since), self.answered) > STUCK

    def refuse_while_stuck(self) -> None:
        """Don't let every thread join the one that waits."""
        if self._attempts and self.is_stuck:
            raise self.outages.refused("connecting", "a connect has not been answered yet")

    def _claim(self, pause: _Pause) -> _Probe:
        left = pause.until - self._monotonic()
        probe = pause.claim() if left <= 0 else None
        if probe is None:
            raise self._refusal(pause.reason, left)
        return probe

    def _refusal(self, reason: str, left: float) -> StoreUnavailable:
        return self.outages.refused("connecting", reason, max(1, math.ceil(left)))

    def succeeded(self, attempt: Attempt) -> None:
        """A connect succeeded: everybody may try again."""
        attempt.end()
        self.answered = self._monotonic()
        self._pauses.pop(None, None)
        if self.outages.under_way:
            self.works()

    def works(self, *what: Trouble) -> None:
        """A connection works; that does not tell whether another one can be opened."""
        self.outages.works(*what, *(() if self._pauses else ("connecting",)))

    def failed(self, attempt: Attempt, reason: str) -> StoreUnavailable:
        """A connect failed: begin a pause, longer than the last one. Returns the error to raise."""
        now, probe = self._monotonic(), attempt.probe
        attempt.end()
        new = _Pause(now)
        pause = self._pauses.setdefault(None, new)
        # Threads that were already under way when the first one failed don't lengthen it.
        if pause.owns(probe):
            pause.lengthen(now)
        pause.reason = reason
        return self._refusal(reason, pause.until - now)
