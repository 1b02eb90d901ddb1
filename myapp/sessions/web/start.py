"""Shows an error at the start as one line without a traceback.

It stays an exception, which tests and servers may catch. Only an exception that nobody caught, with
which Python would end the process, is shown like this; pserve alone would print a traceback.
"""

from __future__ import annotations

import sys
from types import TracebackType

from myapp.environment import SettingError
from myapp.sessions.core.errors import SchemaError


class _Shown:
    """An exception hook that handles our errors, and passes all others on."""

    def __init__(self) -> None:
        self._others = sys.excepthook

    def __call__(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if isinstance(error, SettingError | SchemaError):
            print(f"myapp.sessions: {error}", file=sys.stderr)
        else:
            self._others(kind, error, trace)


def show_errors_of_the_start() -> None:
    """From now on show a SettingError or SchemaError that ends the process in one line (C2)."""
    if not isinstance(sys.excepthook, _Shown):
        sys.excepthook = _Shown()
