"""The home page, which looks at the session and never changes it."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.view import view_config

from myapp.views.contents import overview


@view_config(route_name="home", request_method="GET", renderer="myapp:templates/home.jinja2")
def home(request: Request) -> dict[str, Any]:
    """What the visitor's session holds, or an invitation where there is none.

    `forgotten` in the address thanks for the visit: a flash message would need a new session.
    """
    return {**overview(request.session), "forgotten": "forgotten" in request.GET}
