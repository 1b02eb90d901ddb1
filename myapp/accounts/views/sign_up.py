"""Signing up: whoever does is sent a mail, or has an account at once where the settings say so."""

from __future__ import annotations

from typing import Final

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.view import exception_view_config, view_config
from sqlalchemy.exc import IntegrityError

from myapp.accounts import accounts, changes, credentials, notices
from myapp.accounts.forms import SignUpForm, texts, typed
from myapp.accounts.models import SignUp
from myapp.accounts.parts import parts_of
from myapp.accounts.throttle import SIGN_UP_BY_ADDRESS, SIGN_UP_BY_NETWORK
from myapp.accounts.views.answers import Answer, ask_again, put_off, refuse
from myapp.sessions import UnprovenOrigin

PAGE: Final = "myapp.accounts:templates/signup.jinja2"

TAKEN: Final = "There is already an account with this address. Sign in instead."


@view_config(route_name="signup", request_method="GET", renderer=PAGE)
def show_sign_up(request: Request) -> Answer:
    """The form."""
    return {"form": SignUpForm(), "complaint": ""}


@view_config(route_name="signup", request_method="POST", renderer=PAGE, csrf_by_origin=True)
def sign_up(request: Request) -> Answer:
    """Take a wish for an account, and send a mail to its address.

    The answer is the same whether or not the address has an account; the mail tells.
    """
    form = SignUpForm(texts(request.POST))
    parts = parts_of(request)
    if not form.validate():
        return refuse(request, form)
    email, password = typed(form.email), typed(form.password)
    if complaint := parts.passwords.complaint(password, email):
        form.password.errors = [complaint]
        return refuse(request, form)
    limits = (SIGN_UP_BY_NETWORK, credentials.network(request)), (SIGN_UP_BY_ADDRESS, email)
    if wait := credentials.wait_for(request, *limits):
        return put_off(request, form, wait)
    password_hash = parts.passwords.hash(password)
    if not parts.settings.confirm_email:
        return _begin_at_once(request, form, password_hash)
    wish = SignUp(email=email, password_hash=password_hash, created_at=parts.clock())
    request.dbsession.add(wish)
    request.dbsession.flush()
    notices.queue(request, "sign-up", email, signup_id=wish.id)
    return HTTPSeeOther(request.route_path("check-mail"))


def _begin_at_once(request: Request, form: SignUpForm, password_hash: str) -> Answer:
    try:
        user = accounts.create(request, typed(form.email), password_hash)
    except IntegrityError:
        return refuse(request, form, TAKEN)
    changes.begin(request, user)
    return HTTPSeeOther(request.route_path("restricted"))


@exception_view_config(UnprovenOrigin, route_name="signup", renderer=PAGE)
def ask_for_sign_up_again(error: UnprovenOrigin, request: Request) -> Answer:
    """The form, filled in, for a browser that says nothing of where it came from."""
    return ask_again(request, SignUpForm(texts(request.POST)))


def includeme(config: Configurator) -> None:
    """Name the addresses of these pages."""
    config.add_route("signup", "/signup")
    config.scan(__name__)
