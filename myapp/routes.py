"""The addresses of the frame; each feature names its own."""

from __future__ import annotations

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Name the addresses."""
    config.add_static_view("static", "myapp:static", cache_max_age=3600)
    config.add_route("home", "/")
    config.add_route("health", "/health")
