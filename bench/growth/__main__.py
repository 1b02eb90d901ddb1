"""Measures how sessions grow: `python -m bench.growth`, `make bench/growth`.

Ten million rows take 12 GB on PostgreSQL and 10 GB on SQLite, in a folder of their own that is
removed in the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.growth.hour import SAVES, TOUCHES, live_through
from bench.growth.places import PLACES, OnPostgreSQL, Place
from bench.growth.reads import BATCH, HOT, compare
from bench.growth.report import tables
from bench.growth.rows import MIX, STORED, Kind, data_of, plain_size
from bench.growth.sweeping import try_both
from bench.machine import describe as describe_run
from bench.report import keep
from harness.servers.programs import ServerMissing
from myapp.sessions.sql.store import SqlStore

Tell = Callable[[str], None]

KINDS: Final = {
    "500 bytes of JSON, no client recorded": Kind(stored=None, signed_in=0, client=False),
    "500 bytes of JSON, client recorded": Kind(stored=None, signed_in=0),
    "500 bytes of JSON, client recorded, signed in": Kind(stored=None, signed_in=5),
    "500 bytes stored, no client recorded": Kind(signed_in=0, client=False),
    "500 bytes stored, client recorded": Kind(signed_in=0),
    "500 bytes stored, client recorded, signed in": Kind(signed_in=5),
}
"""What a session weighs depends on what is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of it."""

    sizes: Sequence[int]
    rounds: int
    """Of reads, in each table."""
    kinds: int
    """Rows of each kind, to be weighed."""
    active: int
    """Sessions in use within the hour."""
    expired: int
    seconds: float
    """For each of the two sweeps at most."""


FULL: Final = Plan(
    sizes=(10_000, 1_000_000, 10_000_000),
    rounds=40,
    kinds=100_000,
    active=10_000,
    expired=1_000_000,
    seconds=180,
)
QUICK: Final = Plan(
    sizes=(10_000, 200_000),
    rounds=10,
    kinds=50_000,
    active=500,
    expired=20_000,
    seconds=10,
)


def main() -> None:
    """Measure as the command line says, and keep the result of a full run."""
    given = _arguments()
    sizes = [size for size in FULL.sizes if size <= given.largest]
    plan = QUICK if given.quick else replace(FULL, sizes=sizes, seconds=given.seconds)
    places = [place for place in PLACES if place.name.lower() in given.databases]
    # The commit is the one that is measured, not one that is made meanwhile.
    result = describe_run() | measure(plan, places, given.folder, _tell)
    if given.quick:
        for name, table in tables(result).items():
            print(f"\n{name}\n\n{table}")
    else:
        print(keep("growth", _command(sys.argv[1:], given.folder), result))


def _command(words: Sequence[str], folder: Path) -> str:
    """The command that repeats it, without a folder of this machine."""
    said = [word for word in words if word not in ("--folder", str(folder))]
    return " ".join(["python -m bench.growth", *said])


def measure(
    plan: Plan, places: Sequence[type[Place]], folder: Path, tell: Tell = lambda text: None
) -> dict[str, Any]:
    """All of it. A database whose server is not installed is left out, and named."""
    before = os.getloadavg()
    found, missing = {}, {}
    for place in places:
        try:
            with place.opened(folder) as opened:
                found[place.name] = _measure(plan, opened, tell)
        except ServerMissing as error:
            tell(str(error))
            missing[place.name] = str(error)
    return {
        "load_average": [before, os.getloadavg()],
        "mix": MIX,
        "stored": STORED,
        "json": {"size": plain_size(), "stored": len(data_of(Kind(stored=None)))},
        "hot": HOT,
        "reads": plan.rounds * BATCH,
        "hour": {"touches": TOUCHES, "saves": SAVES},
        "databases": found,
        "missing": missing,
    }


def _measure(plan: Plan, place: Place, tell: Tell) -> dict[str, Any]:
    kinds = {name: _weigh(place, kind, plan.kinds) for name, kind in KINDS.items()}
    with ExitStack() as stack:
        urls = {size: stack.enter_context(place.database()) for size in plan.sizes}
        filled = {size: _fill(place, urls[size], size, tell) for size in plan.sizes}
        stores = {size: SqlStore(url) for size, url in urls.items()}
        tell(f"{place.name}: reading")
        read = compare(stores, plan.rounds)
        largest = max(plan.sizes)
        hour = {}
        if isinstance(place, OnPostgreSQL):
            middle = sorted(plan.sizes)[len(plan.sizes) // 2]
            tell(f"{place.name}: an hour")
            hour = {"hour": live_through(stores[middle], urls[middle], middle, plan.active)}
        for store in stores.values():
            store.close()
        tell(f"{place.name}: sweeping")
        swept = try_both(urls[largest], largest, plan.expired, plan.seconds)
    sizes = [{"rows": size} | filled[size] | read[size] for size in plan.sizes]
    about = {"version": place.version(), "setup": place.setup, "kinds": kinds, "tables": sizes}
    return about | hour | {"sweep": swept}


def _fill(place: Place, url: str, size: int, tell: Tell) -> dict[str, Any]:
    began = time.perf_counter()
    place.fill(url, size)
    took = time.perf_counter() - began
    tell(f"{place.name}: {size:,} rows in {took:.0f} s")
    return {"fill_seconds": took, "bytes": _per_row(place, url, size)}


def _weigh(place: Place, kind: Kind, rows: int) -> dict[str, float]:
    with place.database() as url:
        place.fill(url, rows, kind)
        return _per_row(place, url, rows)


def _per_row(place: Place, url: str, rows: int) -> dict[str, float]:
    return {name: size / rows for name, size in place.bytes(url).items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small tables; nothing is kept")
    names = [place.name.lower() for place in PLACES]
    parser.add_argument("--databases", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--largest", type=int, default=FULL.sizes[-1], help="leave out larger tables"
    )
    parser.add_argument(
        "--seconds", type=float, default=FULL.seconds, help="for each sweep at most"
    )
    there = Path(tempfile.gettempdir())
    parser.add_argument("--folder", type=Path, default=there, help=f"on a disk; else {there}")
    return parser.parse_args()


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    main()
