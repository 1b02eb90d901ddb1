"""One core for all that is measured, client and database alike, and another one for the runner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def apart() -> Iterator[None]:
    """Keep this process off the core of what is measured, for the time of the block."""
    allowed = _allowed()
    try:
        if len(allowed) > 1:
            os.sched_setaffinity(0, allowed - {max(allowed)})
        yield
    finally:
        if len(allowed) > 1:
            os.sched_setaffinity(0, allowed)


@contextmanager
def measured() -> Iterator[None]:
    """What is started within this block has the measured core; a child inherits it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _allowed() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


_CORE = max(_allowed(), default=0)
