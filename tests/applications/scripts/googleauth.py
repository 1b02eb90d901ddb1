"""pyramid_googleauth: signs people in by Google, and keeps them in the session."""

from __future__ import annotations

from typing import Any
from unittest import mock

from pyramid.authorization import ACLHelper
from pyramid.config import Configurator
from pyramid_googleauth.security import GoogleSecurityPolicy
from shared import add_page, site

SETTINGS = {
    "pyramid_googleauth.google_client_id": "id",
    "pyramid_googleauth.google_client_secret": "secret",
    "pyramid_googleauth.secret": "secret",
    "pyramid_googleauth.login_success_redirect_url": "/who",
}
EXCHANGE = "pyramid_googleauth.services.google_auth.GoogleAuthService.exchange_auth_code"


class Policy(GoogleSecurityPolicy):
    """As its README has it."""

    def identity(self, request: Any) -> Any:
        return self.authenticated_userid(request)

    def permits(self, request: Any, context: Any, permission: str) -> Any:
        return ACLHelper().permits(context, [], permission)


def configure(config: Configurator) -> None:
    config.include("pyramid_jinja2")
    config.include("pyramid_googleauth")
    config.set_security_policy(Policy())
    config.scan("pyramid_googleauth.views")
    add_page(config, "/who", lambda request: str(request.authenticated_userid))
    add_page(config, "/visit", lambda request: str(request.session.setdefault("x", 1)))


with site(configure, **SETTINGS) as it:
    it.get("/visit")
    before = it.token
    with mock.patch(EXCHANGE, return_value=({"email": "ann@example.com"}, None, {})):
        it.get("/googleauth/login/callback")
    assert it.get("/who").text == "ann@example.com"
    assert it.token not in (None, before)
    assert not it.is_live(before)
    signed_in = it.token
    it.get("/googleauth/logout")
    assert it.get("/who").text == "None"
    assert not it.is_live(signed_in)
