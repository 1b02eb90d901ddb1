"""Where the time of a request goes: `python -m bench.parts [--database URL URL] [WORK …]`.

LIMIT and myapp take turns in this process, on SQLite or in two empty databases of a server. Of each
work it prints what its statements take, as the driver's `execute` does, and the rest: Python's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.contenders.limit import Limit
from bench.contenders.myapp import Myapp

ROWS: Final = 10_000
WORKS: Final = ("read", "write", "nested", "first", "sign-in", "sign-out")
ROUNDS: Final = 40
BATCH: Final = 25

Program = Limit | Myapp


class Watch:
    """Adds up what each statement of a program takes."""

    def __init__(self, program: Program) -> None:
        """Nothing is watched before it has connected."""
        self.program = program
        self._spent = Counter[str]()
        program.watch(self._around)

    def run(self, work: str) -> Counter[str]:
        """A batch of a work: microseconds of one request, by statement and of all."""
        environs = self.program.environs(work, BATCH)
        self._spent.clear()
        self._spent["total"] = self.program.call(environs)
        return Counter({name: took / BATCH / 1000 for name, took in self._spent.items()})

    def _around(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        def timed(statement: str, *values: Any) -> Any:
            began = time.perf_counter_ns()
            try:
                return execute(statement, *values)
            finally:
                self._spent[" ".join(statement[:60].split())] += time.perf_counter_ns() - began

        return timed


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.parts", description=__doc__)
    parser.add_argument("--database", nargs=2, metavar="URL", help="of LIMIT and of myapp")
    parser.add_argument("--rows", type=int, default=ROWS, help="sessions of other visitors")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"by default {', '.join(WORKS)}")
    given = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="myapp-bench-") as folder:
        files = [f"sqlite:///{Path(folder) / name}" for name in ("limit", "myapp")]
        urls = given.database or files
        limit, myapp = Limit(urls[0]), Myapp(urls[1])
        limit.fill(given.rows)
        myapp.fill(given.rows)
        watches = Watch(limit), Watch(myapp)
        for work in given.works or WORKS:
            _report(work, *watches, rounds=given.rounds)


def _report(work: str, limit: Watch, myapp: Watch, *, rounds: int) -> None:
    """Let both do a work in turns, and print the medians over the rounds."""
    found: dict[Watch, list[Counter[str]]] = {limit: [], myapp: []}
    for turn in range(rounds):
        for watch in (limit, myapp) if turn % 2 else (myapp, limit):
            found[watch].append(watch.run(work))
    pairs = zip(found[myapp], found[limit], strict=True)
    ratio = statistics.median(ours["total"] / limits["total"] for ours, limits in pairs)
    print(f"{work}: {ratio:.2f} × LIMIT")
    for watch, batches in found.items():
        spent = {name: statistics.median(b[name] for b in batches) for name in batches[-1]}
        total = spent.pop("total")
        rest = total - sum(spent.values())
        print(f"  {type(watch.program).__name__}: {total:.1f} µs, {rest:.1f} of them Python's")
        for name, took in spent.items():
            print(f"  {took:8.1f} {name}")


if __name__ == "__main__":
    main()
