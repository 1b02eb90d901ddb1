"""A codebase such as `make new` makes, with features that were written as their authors liked."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator


def main(global_config: dict[str, str], **settings: str) -> Any:
    """The WSGI application, which includes one of its features."""
    with Configurator(settings=settings) as config:
        config.include("myapp.sessions")
        config.include(".silent")
    return config.make_wsgi_app()
