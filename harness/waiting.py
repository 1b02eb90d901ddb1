"""Waiting for something that another process or thread does.

A wait ends with its condition or with a clear error, never with a fixed pause.
"""

import time
from collections.abc import Callable

PAUSE = 0.01


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float = 30, pause: float = PAUSE
) -> None:
    """Return once the condition holds; after ``seconds`` raise TimeoutError naming ``what``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}, which did not come")
        time.sleep(pause)
