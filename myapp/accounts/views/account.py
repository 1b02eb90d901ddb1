"""One's own account, and its password."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.view import view_config, view_defaults

from myapp.accounts import changes
from myapp.accounts.forms import ChangePasswordForm, texts, typed
from myapp.accounts.parts import parts_of
from myapp.accounts.views.answers import Answer, refuse
from myapp.accounts.views.proof import refused_proof


@view_config(
    route_name="account",
    request_method="GET",
    permission="use",
    renderer="myapp.accounts:templates/account.jinja2",
)
def account(request: Request) -> dict[str, Any]:
    """What the account is, and what can be done with it."""
    return {}


@view_defaults(
    route_name="change-password",
    permission="use",
    renderer="myapp.accounts:templates/change_password.jinja2",
)
class PasswordViews:
    """Changing the password; the current one is required."""

    def __init__(self, request: Request) -> None:
        self.request, self.user = request, request.identity

    @view_config(request_method="GET")
    def show(self) -> Answer:
        """The form."""
        return {"form": ChangePasswordForm(), "complaint": ""}

    @view_config(request_method="POST")
    def change(self) -> Answer:
        """Change it, and sign all other devices out."""
        form = ChangePasswordForm(texts(self.request.POST))
        refused = refused_proof(self.request, form)
        if refused is not None:
            return refused
        password = typed(form.new_password)
        if complaint := parts_of(self.request).passwords.complaint(password, self.user.email):
            form.new_password.errors = [complaint]
            return refuse(self.request, form)
        changes.change_password(self.request, self.user, password)
        self.request.session.flash("Your password is changed. Your other devices are signed out.")
        return HTTPSeeOther(self.request.route_path("account"))


def includeme(config: Configurator) -> None:
    """Name the addresses of these pages."""
    config.add_route("account", "/account")
    config.add_route("change-password", "/account/password")
    config.scan(__name__)
