"""A page for administrators alone, as an example of a role."""

from __future__ import annotations

from typing import Any, Final

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy import func, select

from myapp.accounts.models import User

_SHOWN: Final = 50


@view_config(
    route_name="administration",
    request_method="GET",
    permission="administer",
    renderer="myapp.accounts:templates/administration.jinja2",
)
def administration(request: Request) -> dict[str, Any]:
    """The newest accounts; the command changes them."""
    newest = select(User).order_by(User.id.desc()).limit(_SHOWN)
    return {
        "users": request.dbsession.scalars(newest).all(),
        "count": request.dbsession.scalar(select(func.count()).select_from(User)),
    }


def includeme(config: Configurator) -> None:
    """Name the addresses of these pages."""
    config.add_route("administration", "/administration")
    config.scan(__name__)
