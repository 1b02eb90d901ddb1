"""The entries of the navigation: `config.add_navigation("Notes", route="notes")`.

Each feature adds its own, so that no template names a page that may not be there. They are the same
for everybody, on error pages too: nothing here may ask for a session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pyramid.config import Configurator

NAVIGATION: Final = "navigation"
"""Where the registry has the list of entries, which the templates read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A link at the head of every page."""

    title: str
    route: str


def add_navigation(config: Configurator, title: str, *, route: str) -> None:
    """Add a link to a route, behind those of what was included before."""
    entry = Entry(title=title, route=route)
    config.action((NAVIGATION, route), config.registry[NAVIGATION].append, args=(entry,))


def includeme(config: Configurator) -> None:
    """Begin with the home page."""
    config.registry[NAVIGATION] = []
    config.add_directive("add_navigation", add_navigation)
    config.add_navigation("Home", route="home")
