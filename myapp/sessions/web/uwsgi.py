"""What uWSGI has to be told: without its threads ours run by chance, while a request waits."""

from __future__ import annotations

import importlib
import logging
from typing import Any, Final

log = logging.getLogger(__name__)

_GIVE_THREADS: Final = ("enable-threads", "threads", "gevent")
_NO: Final = (None, b"false", b"no", b"off", b"0")


def warn_without_threads() -> None:
    """Say at the start that nothing may be swept, and what to do (W2). Elsewhere than in uWSGI
    this does nothing.
    """
    try:
        uwsgi: Any = importlib.import_module("uwsgi")
        options = uwsgi.opt
    except (ImportError, AttributeError):
        return
    if all(options.get(name) in _NO for name in _GIVE_THREADS):
        log.warning(
            "expired sessions may never be deleted, because uWSGI runs no threads: set"
            " enable-threads = true, or run `myapp-sessions INI sweep` from a timer and set"
            " session.sweep_interval = off"
        )
