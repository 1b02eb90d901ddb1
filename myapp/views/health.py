"""Whether the application works, for those who watch it; no session is involved."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.view import view_config


@view_config(route_name="health", request_method="GET", renderer="json")
def health(request: Request) -> dict[str, Any]:
    """200 where the database answers within two seconds, else 503 with a short reason."""
    request.response.headers["Cache-Control"] = "no-store"
    trouble = request.registry["database_probe"].trouble()
    if trouble is None:
        return {"status": "ok", "database": "ok"}
    request.response.status_int = 503
    return {"status": "unavailable", "database": trouble}
