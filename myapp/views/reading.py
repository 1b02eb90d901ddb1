"""Requests that can't be read are refused before a view, or the CSRF check, looks into them.

WebOb parses the query and the form at their first use, and raises what then looks like a fault of
the view: such a request is the client's mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request
from pyramid.viewderivers import INGRESS

View = Callable[[Any, Request], Any]


def readable_view(view: View, info: Any) -> View:
    """The view behind a check that query and form can be read; error pages need neither."""
    if info.exception_only:
        return view

    def checked_view(context: Any, request: Request) -> Any:
        check(request)
        return view(context, request)

    return checked_view


def check(request: Request) -> None:
    """Raise a bad request for bytes that are not UTF-8, and for a malformed form."""
    try:
        if request.query_string:
            request.GET  # noqa: B018  # parsing happens at the first access
        request.POST  # noqa: B018  # parsing, again
    # WebOb answers a foreign charset with an exception of this class.
    except (ValueError, DeprecationWarning) as error:
        raise HTTPBadRequest from error


def includeme(config: Configurator) -> None:
    """Check before all else, the CSRF token included."""
    config.add_view_deriver(readable_view, under=INGRESS, over="secured_view")
