"""A feature with a rule and without settings, which notes nothing."""

from __future__ import annotations

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Nothing of it is asked here."""
