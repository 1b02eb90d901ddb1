"""Times of single reads, and what is said of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from myapp.sessions.sql.store import SqlStore

Points = dict[str, float]


def time_reads(store: SqlStore, digests: Iterable[bytes]) -> list[int]:
    """Nanoseconds of `SqlStore.load` for each digest. Raises LookupError for one not found."""
    took, clock = [], time.perf_counter_ns
    with _no_collection():
        for digest in digests:
            began = clock()
            found = store.load([digest])
            took.append(clock() - began)
            if not found:
                raise LookupError("a session is missing")
    return took


def time_reads_until(
    over: Callable[[], bool], store: SqlStore, digests: Sequence[bytes]
) -> list[int]:
    """The same again and again, until somebody says that it is over; once at least."""
    took = time_reads(store, digests)
    while not over():
        took += time_reads(store, digests)
    return took


def points(took: Sequence[int]) -> Points:
    """Median and 99th percentile, in microseconds."""
    return {
        "p50": statistics.median(took) / 1000,
        "p99": statistics.quantiles(took, n=100)[98] / 1000,
    }


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
