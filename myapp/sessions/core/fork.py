"""What a process must not take over from the one that forked it: threads, connections, waiters.

The process is asked for at each use, for some servers fork in C, of which Python is not told: uWSGI
does. Nothing that was made in another process may be closed here, for the parent's database, and so
the parent, would hear of it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_WIPE_ON_FORK: Final = 18
"""Linux's MADV_WIPEONFORK, which Python does not name: a child finds zeros in such memory."""


def _process_id() -> Callable[[], int]:
    """A function like `os.getpid`, which asks the system once in each process, where it can.

    Each request asks several times, and a system call costs 0.2 µs where a byte costs 0.03.
    """
    if sys.platform != "linux":
        return os.getpid
    known = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        known.madvise(_WIPE_ON_FORK)
    except OSError:
        # Linux before 4.14, or something that only resembles it.
        return os.getpid
    process = 0

    def process_id() -> int:
        nonlocal process
        if not known[0]:
            process = os.getpid()
            known[0] = 1
        return process

    return process_id


process_id: Final = _process_id()
"""The id of this process, also in one that was forked without Python's knowledge."""


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
