"""Confirming an address, by a link in a mail."""

from __future__ import annotations

from typing import Final

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPGone, HTTPSeeOther
from pyramid.request import Request
from pyramid.view import exception_view_config, view_config
from sqlalchemy.exc import IntegrityError

from myapp.accounts import accounts, changes, credentials
from myapp.accounts.forms import PasswordForm, texts, typed
from myapp.accounts.links import CONFIRM
from myapp.accounts.models import SignUp
from myapp.accounts.parts import parts_of
from myapp.accounts.throttle import CONFIRM_BY_LINK
from myapp.accounts.views import links
from myapp.accounts.views.answers import Answer, put_off, refuse
from myapp.accounts.views.refused import ask_again_for_link
from myapp.accounts.views.sign_up import TAKEN
from myapp.sessions import UnprovenOrigin

PAGE: Final = "myapp.accounts:templates/confirm.jinja2"

_KINDS: Final = (CONFIRM,)
_WRONG: Final = (
    "This is not the password that was chosen when this address signed up. If you have forgotten"
    " it, sign up again; if it was not you who signed up, just leave this page."
)


@view_config(
    route_name="check-mail",
    request_method="GET",
    renderer="myapp.accounts:templates/check_mail.jinja2",
)
def check_mail(request: Request) -> Answer:
    """What to do next; the same for every address."""
    return {"shows_mail": parts_of(request).settings.show_mail}


@view_config(route_name="confirm-link", request_method="GET")
def open_confirmation(request: Request) -> Answer:
    """Keep the link of the mail, and ask for the password."""
    return links.keep(request, _KINDS, "confirm")


@view_config(route_name="confirm", request_method="GET", renderer=PAGE)
def show_confirmation(request: Request) -> Answer:
    """Ask for the password of the sign-up: only who chose it gets the account.

    Otherwise the owner of an address would confirm an account that somebody else has prepared.
    """
    link = links.kept(request, _KINDS)
    return {"form": PasswordForm(), "complaint": "", "email": link.email}


@view_config(route_name="confirm", request_method="POST", renderer=PAGE, csrf_by_origin=True)
def confirm(request: Request) -> Answer:
    """Make the account, and sign its owner in."""
    form = PasswordForm(texts(request.POST))
    link = links.kept(request, _KINDS)
    if not form.validate():
        return refuse(request, form, email=link.email)
    if wait := credentials.wait_for(request, (CONFIRM_BY_LINK, link.digest.hex())):
        return put_off(request, form, wait, email=link.email)
    wish = request.dbsession.get(SignUp, link.signup_id)
    if wish is None:
        # Somebody else has confirmed the address since the link was looked at.
        raise HTTPGone(links.GONE)
    if not parts_of(request).passwords.verify(wish.password_hash, typed(form.password)):
        return refuse(request, form, _WRONG, email=link.email)
    links.use_up(request, _KINDS)
    try:
        user = accounts.create(request, wish.email, wish.password_hash)
    except IntegrityError:
        raise HTTPGone(TAKEN) from None
    accounts.forget_wishes(request.dbsession, user.email)
    changes.begin(request, user)
    request.session.flash("Welcome! Your address is confirmed, and your account is ready.")
    return HTTPSeeOther(request.route_path("restricted"))


@exception_view_config(UnprovenOrigin, route_name="confirm", renderer=PAGE)
def ask_for_confirmation_again(error: UnprovenOrigin, request: Request) -> Answer:
    """The form again, for a browser that says nothing of where it came from."""
    return ask_again_for_link(request, _KINDS, PasswordForm(texts(request.POST)))


def includeme(config: Configurator) -> None:
    """Name the addresses of these pages."""
    config.add_route("check-mail", "/check-mail")
    config.add_route("confirm-link", "/confirm/{token}", request_method="GET")
    config.add_route("confirm", "/confirm")
    config.scan(__name__)
