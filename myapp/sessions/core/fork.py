"""What a process just forked must forget: threads and connections belong to its parent."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def after_fork_in_child(method: Callable[[], None]) -> None:
    """Call a bound method in every child forked from here on, while its object lives."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        present = reference()
        if present is not None:
            present()

    os.register_at_fork(after_in_child=call)
