"""What a contender needs before and beside its work: the time of its start, and memory."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any, Final

from bench.contender import Contender, ContenderFailed, Running

STARTS: Final = 3
CALLS: Final = 500
WARMING: Final = ("read", "write", "untouched")


def footprint(contender: Contender, url: str) -> dict[str, Any]:
    """Milliseconds to the first answer, and MiB of memory once it is warm.

    The database is filled already, so that nothing of that is counted.
    """
    starts = [_start(contender, url) for _ in range(STARTS)]
    return {"start_ms": round(statistics.median(starts)), "rss_mib": _memory(contender, url)}


def _start(contender: Contender, url: str) -> float:
    began = time.monotonic()
    with Running(contender, url, 0):
        return (time.monotonic() - began) * 1000


def _memory(contender: Contender, url: str) -> float | None:
    with Running(contender, url, 0) as running:
        try:
            for work in WARMING:
                if running.can(work):
                    running.run(work, CALLS)
        except ContenderFailed:
            return None
        return _resident(running.pid)


def _resident(pid: int) -> float | None:
    """MiB of memory that a process has for itself or shares; None where no system tells."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    kib = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return round(kib / 1024, 1)
