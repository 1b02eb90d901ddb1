"""Waiting in a queue: first come, first served.

Queues hold weak references: a waiting thread that is interrupted disappears from them when its turn
is collected, without telling anybody.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_LOOK_AGAIN: Final = 0.05
"""Seconds after which a waiting thread checks by itself: the one before may be interrupted."""


class Turn(Generic[T]):
    """A place in the queue of those who wait. The lock is made where it is waited for: gevent may
    have replaced `threading` since this module was imported.
    """

    __slots__ = ("__weakref__", "_bell", "given", "reference")

    def __init__(self) -> None:
        self.given: T | None = None
        self._bell = threading.Lock()
        self._bell.acquire()
        self.reference = weakref.ref(self)

    def give(self, thing: T) -> None:
        """Hand over what was waited for. Raises RuntimeError the second time."""
        self.given = thing
        self._bell.release()

    def wait(self, seconds: float) -> None:
        """Wait until something is given, or the time is over."""
        self._bell.acquire(timeout=seconds)


class Line:
    """A queue before something that one at a time is to do."""

    __slots__ = ("__weakref__", "_closed_for", "_standing")

    def __init__(self) -> None:
        self._standing: deque[weakref.ref[Turn[bool]]] = deque()
        self._closed_for: weakref.ref[Turn[bool]] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether everybody has to stand in line, so that nobody overtakes."""
        # Taken once: the one who closed it may be leaving.
        closed_for = self._closed_for
        return closed_for is not None and closed_for() is not None

    def close(self) -> None:
        """Let nobody overtake the first one any more, who calls this, until it leaves."""
        with suppress(IndexError):
            self._closed_for = self._standing[0]

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Wait until all who came before have left, or the time is over."""
        turn: Turn[bool] = Turn()
        self._standing.append(turn.reference)
        try:
            until = time.monotonic() + seconds
            while self._first() is not turn and (left := until - time.monotonic()) > 0:
                turn.wait(min(left, _LOOK_AGAIN))
            yield
        finally:
            self._leave(turn)

    def _first(self) -> Turn[bool] | None:
        # Others leave at the same time.
        with suppress(IndexError):
            while True:
                first = self._standing[0]
                turn = first()
                if turn is not None:
                    return turn
                self._remove(first)
        return None

    def _leave(self, turn: Turn[bool]) -> None:
        was_first = self._first() is turn
        if was_first:
            self._closed_for = None
        self._remove(turn.reference)
        if was_first and (following := self._first()) is not None:
            # Its bell may have been rung already, by one who left at the same time.
            with suppress(RuntimeError):
                following.give(True)

    def _remove(self, reference: weakref.ref[Turn[bool]]) -> None:
        with suppress(ValueError):
            self._standing.remove(reference)


class Lines:
    """A line for each of many things, by their digests, as long as anybody stands in it.

    Of two who come first at once, each may get a line of its own.
    """

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: weakref.WeakValueDictionary[bytes, Line] = weakref.WeakValueDictionary()

    def of(self, digest: bytes) -> Line:
        """The line of what this digest stands for."""
        return self._lines.setdefault(digest, Line())

    def is_closed(self, digest: bytes) -> bool:
        """Whether nobody may overtake those who stand there."""
        line = self._lines.get(digest)
        return line is not None and line.is_closed
