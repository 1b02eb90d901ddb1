"""What a process must not take over from the one that forked it: threads, connections, waiters.

The process is asked for at each use, for some servers fork in C, of which Python is not told: uWSGI
does. Nothing that was made in another process may be closed here, for the parent's database, and so
the parent, would hear of it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class PerProcess(dict[int, T]):
    """One of each for every process, by its id; made when it is first asked for."""

    def __init__(self, make: Callable[[], T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, process: int) -> T:
        for inherited in tuple(self.values()):
            keep_for_ever(inherited)
        # Of two threads that come first, both get the same one.
        return self.setdefault(process, self._make())


def keep_for_ever(thing: object) -> None:
    """Leave something to the process that made it: to be collected is to be closed, even when
    this process ends.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
