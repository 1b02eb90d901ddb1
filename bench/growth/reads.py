"""How long a read takes in tables of several sizes, in turns.

A round reads a batch in each table, so that a ratio of sizes survives a machine that is slow for
a while. The hot set is read over and over; the other rows are each read for the first time.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping
from typing import Any, Final

from bench.growth.rows import digest
from bench.growth.times import points, time_reads
from myapp.sessions.sql.store import SqlStore

HOT: Final = 1_000
"""Sessions in use at a time, spread over the whole table."""
BATCH: Final = 500
"""Reads of one table in one round."""


def compare(stores: Mapping[int, SqlStore], rounds: int) -> dict[int, dict[str, Any]]:
    """Hot and random reads by the number of rows, with the ratio to the smallest table."""
    tables = {rows: _Table(store, rows) for rows, store in stores.items()}
    for _ in range(rounds):
        for table in tables.values():
            table.read()
    smallest = tables[min(tables)]
    return {rows: table.result(smallest) for rows, table in tables.items()}


class _Table:
    def __init__(self, store: SqlStore, rows: int) -> None:
        self._store, self._rows = store, rows
        self._random = random.Random(rows)
        self._set = [digest(self._random.randrange(rows)) for _ in range(min(HOT, rows))]
        self.hot: list[list[int]] = []
        self.random: list[list[int]] = []
        time_reads(store, self._set)

    def read(self) -> None:
        """One round."""
        any_row = [digest(self._random.randrange(self._rows)) for _ in range(BATCH)]
        self.random.append(time_reads(self._store, any_row))
        # What was read at random has pushed out some of it.
        time_reads(self._store, self._set)
        self.hot.append(time_reads(self._store, self._random.choices(self._set, k=BATCH)))

    def result(self, smallest: _Table) -> dict[str, Any]:
        return {
            "hot": _summary(self.hot, smallest.hot),
            "random": _summary(self.random, smallest.random),
        }


def _summary(rounds: list[list[int]], others: list[list[int]]) -> dict[str, float]:
    pairs = zip(rounds, others, strict=True)
    ratios = [statistics.median(one) / statistics.median(other) for one, other in pairs]
    return points([took for each in rounds for took in each]) | {
        "ratio": statistics.median(ratios),
    }
