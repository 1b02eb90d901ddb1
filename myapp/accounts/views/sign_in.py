"""Signing in and out."""

from __future__ import annotations

from typing import Any, Final

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget
from pyramid.view import exception_view_config, view_config

from myapp.accounts import browsers, changes, credentials, notices
from myapp.accounts.forms import SignInForm, texts, typed
from myapp.accounts.next_page import next_page
from myapp.accounts.views.answers import Answer, ask_again, put_off, refuse
from myapp.sessions import UnprovenOrigin

PAGE: Final = "myapp.accounts:templates/login.jinja2"

# What the browser has kept of the pages. Never "cookies", which would delete those of other
# applications on the same site.
CLEARED: Final = '"cache", "storage", "prefetchCache", "prerenderCache"'


@view_config(route_name="login", request_method="GET", renderer=PAGE)
def show_sign_in(request: Request) -> Answer:
    """The form; somebody who is signed in goes on to where they wanted to."""
    asked_for = request.GET.get("next", "")
    if request.identity is not None:
        return HTTPSeeOther(next_page(request, asked_for))
    return {"form": SignInForm(data={"next": asked_for, "remember": True}), "complaint": ""}


@view_config(route_name="login", request_method="POST", renderer=PAGE, csrf_by_origin=True)
def sign_in(request: Request) -> Answer:
    """Sign somebody in, and go on to the page that they asked for."""
    form = SignInForm(texts(request.POST))
    if not form.validate():
        return refuse(request, form)
    known = browsers.is_known(request, typed(form.email))
    wait = credentials.wait_for_sign_in(request, typed(form.email), known=known)
    if wait:
        return put_off(request, form, wait)
    user = credentials.user_by(request, typed(form.email), typed(form.password))
    if user is None:
        return refuse(request, form, credentials.REFUSED)
    if not known:
        notices.queue(request, "unknown-sign-in", user.email, user_id=user.id)
    changes.begin(request, user, lasts=form.remember.data)
    return HTTPSeeOther(next_page(request, form.next.data))


@exception_view_config(UnprovenOrigin, route_name="login", renderer=PAGE)
def ask_for_sign_in_again(error: UnprovenOrigin, request: Request) -> Answer:
    """The form, filled in, for a browser that says nothing of where it came from."""
    return ask_again(request, SignInForm(texts(request.POST)))


@view_config(route_name="logout", request_method="POST")
def sign_out(request: Request) -> Response:
    """End the session, and have the browser forget the pages that it has seen."""
    forget(request)
    return HTTPSeeOther(
        request.route_path("home", _query="signed-out"), headers=[("Clear-Site-Data", CLEARED)]
    )


@view_config(
    route_name="restricted",
    request_method="GET",
    permission="use",
    renderer="myapp.accounts:templates/restricted.jinja2",
)
def restricted(request: Request) -> dict[str, Any]:
    """A page for those who are signed in, as an example."""
    return {}


def includeme(config: Configurator) -> None:
    """Name the addresses of these pages."""
    config.add_route("login", "/login")
    config.add_route("logout", "/logout", request_method="POST")
    config.add_route("restricted", "/restricted")
    config.scan(__name__)
