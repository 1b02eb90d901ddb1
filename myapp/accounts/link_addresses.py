"""The addresses that links in mails lead to."""

from __future__ import annotations

from typing import Final

from pyramid.registry import Registry
from pyramid.request import Request

from myapp.accounts.links import CONFIRM

_ROUTES: Final = {CONFIRM: "confirm-link"}


def link_to(registry: Registry, kind: str, token: str, site: str) -> str:
    """The address of a link, below that of the site, which may have a path of its own."""
    # A request of nobody's, since mails are not sent during one.
    request = Request.blank("/", base_url=site)
    request.registry = registry
    route = _ROUTES.get(kind, "reset-link")
    url: str = request.route_url(route, token=token)
    return url
