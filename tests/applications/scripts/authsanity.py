"""pyramid_authsanity: keeps who is signed in, with a ticket, in the session."""

from __future__ import annotations

from typing import Any

from pyramid.authorization import ACLAuthorizationPolicy
from pyramid.config import Configurator
from pyramid.security import forget, remember
from pyramid_authsanity.interfaces import IAuthService
from shared import add_page, site
from zope.interface import implementer

TICKETS: set[tuple[str, str]] = set()


@implementer(IAuthService)
class Tickets:
    """What an application writes for it: who holds which ticket."""

    def __init__(self, context: Any, request: Any) -> None:
        self._user: Any = NotImplemented

    def userid(self) -> Any:
        if self._user is NotImplemented:
            raise LookupError
        return self._user

    def groups(self) -> list[str]:
        return []

    def verify_ticket(self, principal: Any, ticket: Any) -> None:
        self._user = principal if (principal, ticket) in TICKETS else None

    def add_ticket(self, principal: Any, ticket: Any) -> None:
        TICKETS.add((principal, ticket))
        self._user = principal

    def remove_ticket(self, ticket: Any) -> None:
        TICKETS.difference_update([each for each in TICKETS if each[1] == ticket])


def sign_in(request: Any) -> str:
    request.response.headerlist.extend(remember(request, "ann"))
    return "hello"


def sign_out(request: Any) -> str:
    request.response.headerlist.extend(forget(request))
    return "bye"


def configure(config: Configurator) -> None:
    config.set_authorization_policy(ACLAuthorizationPolicy())
    config.include("pyramid_authsanity")
    config.register_service_factory(Tickets, iface=IAuthService)
    add_page(config, "/in", sign_in)
    add_page(config, "/out", sign_out)
    add_page(config, "/who", lambda request: str(request.authenticated_userid))
    add_page(config, "/visit", lambda request: str(request.session.setdefault("x", 1)))


with site(configure, **{"authsanity.source": "session"}) as it:
    it.get("/visit")
    before = it.token
    assert it.get("/who").text == "None"
    it.get("/in")
    assert it.get("/who").text == "ann"
    assert it.token not in (None, before)
    assert not it.is_live(before)
    signed_in = it.token
    it.get("/out")
    assert it.get("/who").text == "None"
    assert not it.is_live(signed_in)
