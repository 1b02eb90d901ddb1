"""A process that sweeps, for the tests: `python -m tests.serving.sweeper URL BATCH GO`.

It begins when the file GO is there, together with its rivals, sweeps as the thread of a web server
does, and says at the end how many rows it looked at.
"""

import sys
import threading
import time
from pathlib import Path

from myapp.sessions.lifetime import SteadyClock
from myapp.sessions.sql_store import SqlStore
from myapp.sessions.sweep import PAUSE, sweep
from tests.waiting import wait_until


def main(url: str, batch: int, go: Path) -> None:
    """Sweep once, until nothing is due."""
    store = SqlStore(url)
    store.count()  # so that the first batch finds a connection
    print("ready", flush=True)
    wait_until(go.exists, "the word to go", seconds=600)
    looked_at = 0
    pause = threading.Event()
    began = time.monotonic()
    for count in sweep(store, SteadyClock(), batch):
        looked_at += count
        pause.wait(max(PAUSE, time.monotonic() - began))
        began = time.monotonic()
    store.close()
    print(f"looked at {looked_at} rows")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
