"""A feature whose rules can't even be imported."""

from __future__ import annotations

from pyramid.config import Configurator

from myapp.setting_table import note_included


def includeme(config: Configurator) -> None:
    """It notes itself."""
    note_included(config.registry, __name__)
