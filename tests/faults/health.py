"""What each server process tells of itself when it is asked, and the memory that it takes.

Several processes share a port, so each is asked by a socket of its own, named by its id.
"""

from __future__ import annotations

import gc
import os
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Final

from harness.waiting import wait_until
from myapp.sessions.sql.store import SqlStore

LONGEST: Final = 10.0
"""Seconds after the last request within which each place in a pool must be free again."""
WATCHED: Final = 120.0
"""A process that lived less than so many seconds says nothing of its memory."""
FLAT: Final = 10 * 1024 * 1024
"""So many bytes may a process have grown from the second quarter of its life to the last."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_KEY: Final = b"health"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The pool of one process, when nobody asks anything of it."""

    process: int
    taken: int
    """Places that are taken; so many connections there are, or are being opened."""
    idle: int
    waiting: int
    stuck: bool

    @property
    def lost(self) -> int:
        """Places that nobody has and nobody can get, and whoever waits for them."""
        return self.taken - self.idle + self.waiting + self.stuck


def tell_health(store: SqlStore, folder: Path) -> None:
    """Answer whoever asks this process, from a thread of its own."""
    place = folder / f"{os.getpid()}.health"
    listener = Listener(f"{place}.new", "AF_UNIX", authkey=_KEY)
    # Whoever sees it can be sure that somebody listens.
    os.rename(f"{place}.new", place)

    def answer() -> None:
        while True:
            with suppress(OSError, EOFError), listener.accept() as asking:
                asking.send(_settled(store))

    threading.Thread(target=answer, daemon=True).start()


def _settled(store: SqlStore) -> Health:
    """The pool as soon as nothing is lost; the sweeper may have a connection for a moment."""
    until = time.monotonic() + LONGEST
    while True:
        health = _health(store)
        if not health.lost or time.monotonic() > until:
            return health
        time.sleep(0.05)


def _health(store: SqlStore) -> Health:
    gc.collect()  # what an interrupt has left in a cycle
    pool = store._pool
    return Health(
        process=os.getpid(), taken=len(pool._places), idle=len(pool._idle),
        waiting=len(pool._waiting), stuck=pool.breaker.is_stuck,
    )  # fmt: skip


def ask(process: int, folder: Path) -> Health:
    """What a process says, which may just have been started in place of one that was killed."""
    place = folder / f"{process}.health"
    wait_until(place.exists, f"process {process} to say how it is", seconds=60)
    with Client(str(place), "AF_UNIX", authkey=_KEY) as connection:
        health: Health = connection.recv()
    return health


class Memory:
    """How much memory each process took, from time to time."""

    def __init__(self) -> None:
        self.samples: dict[int, list[tuple[float, int]]] = defaultdict(list)

    def look(self, processes: Iterable[int]) -> None:
        """Take a sample of each that lives."""
        for process in processes:
            with suppress(OSError):
                pages = Path(f"/proc/{process}/statm").read_text().split()[1]
                self.samples[process].append((time.monotonic(), int(pages) * _PAGE))

    def watch(self, processes: Callable[[], Iterable[int]], over: threading.Event) -> None:
        """Look every second, until all is over."""
        while not over.wait(1):
            self.look(processes())

    def growth(self) -> dict[int, int]:
        """By how many bytes each process has grown that lived long enough, once it was warm."""
        return {
            process: _median(samples, 3) - _median(samples, 1)
            for process, samples in self.samples.items()
            if samples[-1][0] - samples[0][0] >= WATCHED
        }

    def largest(self) -> int:
        """The most that a process ever took."""
        return max((size for each in self.samples.values() for _, size in each), default=0)


def _median(samples: list[tuple[float, int]], quarter: int) -> int:
    began, lived = samples[0][0], samples[-1][0] - samples[0][0]
    from_, to = began + lived * quarter / 4, began + lived * (quarter + 1) / 4
    return int(statistics.median(size for at, size in samples if from_ <= at <= to))
