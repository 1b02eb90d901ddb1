"""A page to try sessions on: one feature, joined to the application by one line in `main()`.

Without that line, this folder and `tests/trial` the application runs, and its tests pass.
"""

from __future__ import annotations

from typing import Final

from pyramid.config import Configurator

from myapp.sessions import UnprovenOrigin

ACTIONS: Final = ("count", "remove", "flash", "renew", "forget")
"""Addresses without a page, which accept only POST."""


def includeme(config: Configurator) -> None:
    """Name the addresses, and what answers there."""
    config.add_navigation("Try it", route="try")
    config.add_route("try", "/try")
    for name in ACTIONS:
        config.add_route(name, f"/try/{name}", request_method="POST")
    config.scan(__name__)
    for name in ("try", *ACTIONS):
        again = {"view": "myapp.trial.views.TrialViews", "attr": "show_again"}
        config.add_exception_view(**again, context=UnprovenOrigin, route_name=name)
