"""The addresses of the application; what changes something answers to POST alone."""

from __future__ import annotations

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Name every address, those of accounts excepted."""
    config.add_static_view("static", "myapp:static", cache_max_age=3600)
    config.add_route("home", "/")
    config.add_route("health", "/health")
    config.add_route("try", "/try")
    for name in ("count", "remove", "flash", "renew", "forget"):
        config.add_route(name, f"/try/{name}", request_method="POST")
