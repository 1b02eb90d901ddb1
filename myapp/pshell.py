"""What `pshell development.ini` offers beside `request`: a dbsession in a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from transaction.interfaces import NoTransaction


def setup(env: dict[str, Any]) -> Iterator[None]:
    """Add `tm` and `dbsession`; leaving the shell rolls back what `tm.commit()` did not commit.

    The manager is explicit: after `tm.commit()` the next transaction starts with `tm.begin()`.
    """
    request = env["request"]
    request.tm.begin()
    env["tm"] = request.tm
    env["dbsession"] = request.dbsession
    try:
        yield
    finally:
        with suppress(NoTransaction):
            request.tm.abort()
