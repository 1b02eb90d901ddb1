"""Proving, by the password, that the account is one's own."""

from __future__ import annotations

from typing import Any, Final

from pyramid.request import Request

from myapp.accounts import browsers, credentials
from myapp.accounts.forms import PasswordForm, typed
from myapp.accounts.views.answers import Answer, put_off, refuse

NOT_YOURS: Final = "This is not your password."


def refused_proof(request: Request, form: PasswordForm, **more: Any) -> Answer | None:
    """The answer to somebody who can't prove that the account is theirs; None if they can."""
    if not form.validate():
        return refuse(request, form, **more)
    email = request.identity.email
    known = browsers.is_known(request, email)
    if wait := credentials.wait_for_sign_in(request, email, known=known):
        return put_off(request, form, wait, **more)
    if not credentials.proves(request, request.identity, typed(form.password)):
        form.password.errors = [NOT_YOURS]
        return refuse(request, form, **more)
    return None
