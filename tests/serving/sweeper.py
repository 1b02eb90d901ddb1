"""A process that sweeps, for the tests: `python -m tests.serving.sweeper URL BATCH GO`.

It sweeps as a web server's thread does, but only while the file GO is there, and for that share of
the time which the file says. At the end it says how many rows it looked at.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

from harness.waiting import wait_until
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.core.sweep import pause_after, sweep
from myapp.sessions.sql.store import SqlStore

LONGEST = 3600.0


def main(url: str, batch: int, go: Path) -> None:
    """Sweep once, until nothing is due."""
    store = SqlStore(url)
    store.count()  # so that the first batch finds a connection
    print("ready", flush=True)
    share = _share(go)
    looked_at = 0
    began = time.monotonic()
    for count in sweep(store, SteadyClock(), batch):
        looked_at += count
        time.sleep(pause_after(time.monotonic() - began, share))
        share = _share(go)
        began = time.monotonic()
    store.close()
    print(f"looked at {looked_at} rows")


def _share(go: Path) -> float:
    """What the file says; waits until there is one."""
    while True:
        wait_until(go.exists, "the word to go", LONGEST)
        with suppress(FileNotFoundError):
            return float(go.read_text())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
