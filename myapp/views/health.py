"""Whether the application works, for monitoring; it does not touch visitors' sessions."""

from __future__ import annotations

from typing import Any, Final

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.view import view_config

from myapp.models.probe import Probe
from myapp.sessions import get_manager

PARTS: Final = ("database", "sessions")


def includeme(config: Configurator) -> None:
    """Ask whether sessions can be saved; about its database `myapp.models` asks itself."""
    check = get_manager(config.registry).check
    config.registry["sessions_probe"] = Probe(check, "cannot be saved")


@view_config(route_name="health", request_method="GET", renderer="json")
def health(request: Request) -> dict[str, Any]:
    """200 if the database answers and sessions can be saved, each within two seconds; otherwise
    503 with short reasons.
    """
    request.response.headers["Cache-Control"] = "no-store"
    troubles = {part: request.registry[f"{part}_probe"].trouble() for part in PARTS}
    well = not any(troubles.values())
    request.response.status_int = 200 if well else 503
    told = {part: trouble or "ok" for part, trouble in troubles.items()}
    return {"status": "ok" if well else "unavailable"} | told
