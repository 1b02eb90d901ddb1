"""The access log: a line for each request when its response is known.

An execution policy and no tween: a request that pyramid_retry tries three times is one line.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from myapp.sessions import Client
from myapp.sessions.web.client import client_of

log = logging.getLogger(__name__)

Policy = Callable[[dict[str, Any], Any], Any]


def logging_policy(policy: Policy, record_client: str) -> Policy:
    """A policy that goes before another one, and logs what it answers; `record_client`: what may be
    known of clients, as the setting of sessions has it.
    """

    def logged(environ: dict[str, Any], router: Any) -> Any:
        began = time.perf_counter()
        status, size = 500, None
        try:
            response = policy(environ, router)
            status, size = response.status_int, response.content_length
            return response
        finally:
            took = (time.perf_counter() - began) * 1000
            client = client_of(environ, record_client)
            log.info("request", extra=_fields(environ, client, status, size, round(took, 1)))

    return logged


def _fields(
    environ: dict[str, Any], client: Client, status: int, size: int | None, took: float
) -> dict[str, Any]:
    """Without the query, which may hold what a visitor has typed."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return {
        "method": environ.get("REQUEST_METHOD"),
        "path": path.encode("latin-1", "replace").decode("utf-8", "replace"),
        "status": status,
        "bytes": size,
        "milliseconds": took,
        "address": client.address,
        "user_agent": client.user_agent,
    }
