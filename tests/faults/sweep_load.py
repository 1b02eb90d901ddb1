"""Sweeps a table of a million rows from several processes while visitors come and go.

    python -m tests.faults.sweep_load --database postgresql --rows 1000000 --sweepers 4

Starts a server of its own, and ends with status 1 if a session was lost, an expired row was left,
or anybody met an error. What it measures it prints, and leaves the judgement to the reader: on a
busy machine everything is slower. Each turn has two phases without sweeping and one with it;
"without" compares the first two, which is the noise, "with" the last two.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from harness.servers.mariadb import MariaDB
from harness.servers.postgresql import PostgreSQL
from harness.servers.server import Server
from myapp.sessions.core.sweep import BATCH, SHARE
from tests.serving.sweeping import Plan, Report, run

SERVERS: Final[dict[str, type[Server]]] = {"postgresql": PostgreSQL, "mariadb": MariaDB}
LONGEST: Final = 3600.0

_POINTS: Final = ("mean", "p50", "p99")
_Pair = tuple[list[float], list[float]]


def main() -> int:
    """Run it as the command line says; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", choices=sorted(SERVERS), default="postgresql")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sweepers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=BATCH, help="rows of one deletion")
    parser.add_argument("--share", type=float, default=SHARE, help="of each sweeper's time")
    parser.add_argument("--turns", type=int, default=8, help="phases with sweeping")
    parser.add_argument("--phase", type=float, default=10, help="seconds of each phase")
    given = parser.parse_args()
    with (
        SERVERS[given.database]() as server,
        server.database() as url,
        tempfile.TemporaryDirectory() as folder,
    ):
        plan = Plan(
            url=url,
            rows=given.rows,
            sweepers=given.sweepers,
            batch=given.batch,
            share=given.share,
            folder=Path(folder),
            turns=given.turns,
            phase=given.phase,
            seconds=LONGEST,
        )
        report = run(plan, _tell)
    _print(report)
    return 1 if report.complaints else 0


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _print(report: Report) -> None:
    rate = report.swept / report.seconds
    print(f"swept {report.swept:,} rows in {report.seconds:.0f} s: {rate:,.0f} rows/s")
    print(f"killed with {report.due_at_kill:,} rows to go; the others " + ", ".join(report.said))
    print(f"one more sweep looked at {report.left:,} rows")
    print("load average {:.1f} before the turns, {:.1f} at their end".format(*report.load))
    first = [took for turn in report.turns for took in turn.first]
    second = [took for turn in report.turns for took in turn.second]
    sweeping = [took for turn in report.turns for took in turn.sweeping]
    print("visits            number" + "".join(f"{name + ' ms':>12}" for name in _POINTS))
    for name, took in (("without", first), ("without", second), ("sweeping", sweeping)):
        shown = "".join(f"{point * 1000:>12.2f}" for point in _points(took))
        print(f"{name:<16} {len(took):>7}{shown}")
    print("ratio: median (quartiles) over the turns; of all visits together")
    pairs = [(turn.first, turn.second) for turn in report.turns]
    _compare("without/without", pairs, second, first)
    pairs = [(turn.second, turn.sweeping) for turn in report.turns]
    _compare("sweeping/without", pairs, sweeping, second)
    for text in report.complaints[:20]:
        print(f"WRONG: {text}")
    print(f"{len(report.complaints)} complaints")


def _compare(name: str, pairs: list[_Pair], later: list[float], sooner: list[float]) -> None:
    """Each phase with the one before it: every drift of the machine is in both rows alike."""
    ratios = [
        [after / before for before, after in zip(_points(a), _points(b), strict=True)]
        for a, b in pairs
    ]
    together = [a / b for a, b in zip(_points(later), _points(sooner), strict=True)]
    for place, point in enumerate(_POINTS):
        low, middle, high = _quartiles([each[place] for each in ratios])
        print(
            f"{name:<17} {point:<5} {middle:.2f} ({low:.2f} to {high:.2f}); {together[place]:.2f}"
        )


def _quartiles(numbers: list[float]) -> list[float]:
    return statistics.quantiles(numbers, n=4) if len(numbers) > 1 else numbers * 3


def _points(took: list[float]) -> tuple[float, float, float]:
    """The mean, the median and the 99th percentile."""
    return statistics.fmean(took), statistics.median(took), statistics.quantiles(took, n=100)[98]


if __name__ == "__main__":
    sys.exit(main())
