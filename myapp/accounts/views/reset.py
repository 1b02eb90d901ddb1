"""Forgotten passwords: a link by mail, and a new password."""

from __future__ import annotations

from typing import Final

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.view import exception_view_config, view_config

from myapp.accounts import changes, credentials, notices
from myapp.accounts.forms import AddressForm, NewPasswordForm, texts, typed
from myapp.accounts.links import ALARM, RESET
from myapp.accounts.models import User
from myapp.accounts.parts import parts_of
from myapp.accounts.throttle import RESET_BY_ADDRESS, RESET_BY_NETWORK
from myapp.accounts.views import links
from myapp.accounts.views.answers import Answer, ask_again, put_off, refuse
from myapp.accounts.views.refused import ask_again_for_link
from myapp.sessions import UnprovenOrigin

PAGE: Final = "myapp.accounts:templates/forgotten.jinja2"
RESET_PAGE: Final = "myapp.accounts:templates/reset.jinja2"

_KINDS: Final = (RESET, ALARM)


@view_config(route_name="forgotten-password", request_method="GET", renderer=PAGE)
def show_forgotten(request: Request) -> Answer:
    """The form."""
    return {"form": AddressForm(), "complaint": ""}


@view_config(
    route_name="forgotten-password", request_method="POST", renderer=PAGE, csrf_by_origin=True
)
def send_link(request: Request) -> Answer:
    """Queue a mail to the address. Its sender finds out whether there is an account."""
    form = AddressForm(texts(request.POST))
    if not form.validate():
        return refuse(request, form)
    email = typed(form.email)
    limits = (RESET_BY_NETWORK, credentials.network(request)), (RESET_BY_ADDRESS, email)
    if wait := credentials.wait_for(request, *limits):
        return put_off(request, form, wait)
    notices.queue(request, "reset", email)
    return HTTPSeeOther(request.route_path("check-mail"))


@exception_view_config(UnprovenOrigin, route_name="forgotten-password", renderer=PAGE)
def ask_for_address_again(error: UnprovenOrigin, request: Request) -> Answer:
    """The form, filled in, for a browser that says nothing of where it came from."""
    return ask_again(request, AddressForm(texts(request.POST)))


@view_config(route_name="reset-link", request_method="GET")
def open_reset(request: Request) -> Answer:
    """Keep the link of the mail, and ask for a new password."""
    return links.keep(request, _KINDS, "password-reset")


@view_config(route_name="password-reset", request_method="GET", renderer=RESET_PAGE)
def show_reset(request: Request) -> Answer:
    """The form."""
    link = links.kept(request, _KINDS)
    return {"form": NewPasswordForm(), "complaint": "", "email": link.email}


@view_config(
    route_name="password-reset", request_method="POST", renderer=RESET_PAGE, csrf_by_origin=True
)
def reset(request: Request) -> Answer:
    """Set the new password, sign everybody else out, and this browser in."""
    form = NewPasswordForm(texts(request.POST))
    link = links.kept(request, _KINDS)
    if not form.validate():
        return refuse(request, form, email=link.email)
    password = typed(form.new_password)
    if complaint := parts_of(request).passwords.complaint(password, link.email):
        form.new_password.errors = [complaint]
        return refuse(request, form, email=link.email)
    used = links.use_up(request, _KINDS)
    user = request.dbsession.get(User, used.user_id)
    changes.change_password(request, user, password)
    request.session.flash("Your password is set. Your other devices are signed out.")
    return HTTPSeeOther(request.route_path("restricted"))


@exception_view_config(UnprovenOrigin, route_name="password-reset", renderer=RESET_PAGE)
def ask_for_password_again(error: UnprovenOrigin, request: Request) -> Answer:
    """The form again, for a browser that says nothing of where it came from."""
    return ask_again_for_link(request, _KINDS, NewPasswordForm(texts(request.POST)))


def includeme(config: Configurator) -> None:
    """Name the addresses of these pages."""
    config.add_route("forgotten-password", "/forgotten-password")
    config.add_route("reset-link", "/password-reset/{token}", request_method="GET")
    config.add_route("password-reset", "/password-reset")
    config.scan(__name__)
