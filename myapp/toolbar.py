"""The debug toolbar, if it is installed: the application does not depend on it."""

from __future__ import annotations

import logging

from pyramid.config import Configurator

log = logging.getLogger(__name__)


def includeme(config: Configurator) -> None:
    """Show the toolbar at the page's edge; without it the application runs all the same."""
    try:
        config.include("pyramid_debugtoolbar")
    except ModuleNotFoundError as error:
        if error.name != "pyramid_debugtoolbar":
            raise
        log.info("no debug toolbar: pyramid_debugtoolbar is not installed")
