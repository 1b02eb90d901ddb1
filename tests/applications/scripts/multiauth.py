"""pyramid_multiauth: several old-style policies, one of which keeps the user in the session.

Pyramid's SessionAuthenticationPolicy puts the user into the dictionary and makes no new token, so
the application calls `session.renew()`: ours to do wherever our own policy is not used.
"""

from __future__ import annotations

from typing import Any

from pyramid.authentication import BasicAuthAuthenticationPolicy, SessionAuthenticationPolicy
from pyramid.authorization import ACLAuthorizationPolicy
from pyramid.config import Configurator
from pyramid.security import forget, remember
from pyramid_multiauth import MultiAuthenticationPolicy
from shared import add_page, site


def sign_in(request: Any) -> str:
    remember(request, "ann")
    request.session.renew()
    return "hello"


def configure(config: Configurator) -> None:
    policies = [
        BasicAuthAuthenticationPolicy(lambda user, password, request: None),
        SessionAuthenticationPolicy(),
    ]
    config.set_authentication_policy(MultiAuthenticationPolicy(policies))
    config.set_authorization_policy(ACLAuthorizationPolicy())
    add_page(config, "/in", sign_in)
    add_page(config, "/out", lambda request: str(forget(request)))
    add_page(config, "/who", lambda request: str(request.authenticated_userid))
    add_page(config, "/visit", lambda request: str(request.session.setdefault("x", 1)))


with site(configure) as it:
    it.get("/visit")
    before = it.token
    it.get("/in")
    assert it.get("/who").text == "ann"
    assert it.token not in (None, before)
    assert not it.is_live(before)
    it.get("/out")
    assert it.get("/who").text == "None"
