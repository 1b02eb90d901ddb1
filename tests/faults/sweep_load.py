"""Sweeps a table of a million rows from several processes while visitors come and go.

    python -m tests.faults.sweep_load --database postgresql --rows 1000000 --sweepers 4

Starts a server of its own, and ends with status 1 if a session was lost, an expired row was left,
or anybody met an error. What it measures it prints, and leaves the judgement to the reader: on a
busy machine everything is slower.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from myapp.sessions.sweep import BATCH
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.server import Server
from tests.serving.sweeping import Plan, Report, run

SERVERS: Final[dict[str, type[Server]]] = {"postgresql": PostgreSQL, "mariadb": MariaDB}
LONGEST: Final = 3600.0


def main() -> int:
    """Run it as the command line says; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", choices=sorted(SERVERS), default="postgresql")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sweepers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=BATCH, help="rows of one deletion")
    parser.add_argument("--calm", type=float, default=10, help="seconds to compare with")
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
            folder=Path(folder),
            calm=given.calm,
            seconds=LONGEST,
        )
        report = run(plan, _tell)
    _print(report)
    return 1 if report.complaints else 0


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _print(report: Report) -> None:
    rate = report.swept / report.seconds
    print(f"swept {report.swept:,} rows in {report.seconds:.1f} s: {rate:,.0f} rows/s")
    print(f"killed with {report.due_at_kill:,} rows to go; the others " + ", ".join(report.said))
    print(f"one more sweep looked at {report.left:,} rows")
    without = report.before + report.after
    print("visits            number   p50 ms   p99 ms   longest ms")
    rows = (("before", report.before), ("after", report.after), ("sweeping", report.during))
    for name, took in rows:
        print(f"{name:<16} {len(took):>7} " + "".join(f"{x * 1000:>9.1f}" for x in _points(took)))
    ratios = zip(_points(report.during), _points(without), strict=True)
    print("with/without             " + "".join(f"{a / b:>9.2f}" for a, b in ratios))
    for text in report.complaints[:20]:
        print(f"WRONG: {text}")
    print(f"{len(report.complaints)} complaints")


def _points(took: list[float]) -> tuple[float, float, float]:
    """The median, the 99th percentile and the longest."""
    return statistics.median(took), statistics.quantiles(took, n=100)[98], max(took)


if __name__ == "__main__":
    sys.exit(main())
