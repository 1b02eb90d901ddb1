"""pyramid_fullauth: accounts with their own pages, and the user in a cookie of its own.

It looks at once whether there is a session factory, so ours is included first and committed. To
have the user in the session, so that signing out ends it, the application sets our policy, to which
pyramid_fullauth hands `max_age` for "remember me".
"""

from __future__ import annotations

from typing import Any

import pyramid_basemodel
import transaction
from pyramid.config import Configurator
from pyramid_fullauth.models import User
from shared import add_page, site

from myapp.sessions import SessionSecurityPolicy


class Policy(SessionSecurityPolicy):
    """Users by pyramid_fullauth's model."""

    def user(self, request: Any, user_id: str) -> Any:
        return pyramid_basemodel.Session.get(User, int(user_id))

    def groups(self, user: Any) -> list[str]:
        return ["s:user"] if user.is_active else ["s:inactive"]

    def remember(self, request: Any, userid: Any, *, max_age: int | None = None, **kw: Any) -> Any:
        request.session.remember_me(max_age is not None)
        return super().remember(request, userid, method="password", **kw)


def configure(config: Configurator) -> None:
    config.set_security_policy(Policy())
    config.commit()
    config.include("pyramid_tm")
    config.include("pyramid_basemodel")
    config.include("pyramid_fullauth")
    add_page(config, "/who", lambda request: str(request.authenticated_userid))


with site(configure, **{"localize.locales.available": "en"}) as it:
    User.metadata.create_all(pyramid_basemodel.Session.get_bind())
    with transaction.manager:
        user = User(email="ann@example.com", address_ip="127.0.0.1")
        user.password = "correct horse"
        pyramid_basemodel.Session.add(user)
    page = it.get("/login")
    before = it.token
    form = next(form for form in page.forms.values() if "password" in form.fields)
    form["email"], form["password"] = "ann@example.com", "wrong"
    assert "Wrong" in form.submit().text
    form["password"] = "correct horse"
    assert form.submit().status_int == 303
    assert it.get("/who").text == "1"
    assert it.token not in (None, before)
    assert not it.is_live(before)
    signed_in = it.token
    it.get("/logout")
    assert it.get("/who").text == "None"
    assert not it.is_live(signed_in)
