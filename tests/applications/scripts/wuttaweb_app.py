"""wuttaweb: an application to build upon, with users, its own pages, and Beaker's sessions.

Its `make_pyramid_config` includes pyramid_beaker, so an application writes those lines itself.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from pyramid.config import Configurator
from pyramid.security import forget
from shared import Site, add_page, site
from wuttaweb.app import establish_theme, make_wutta_config
from wuttaweb.auth import WuttaSecurityPolicy
from wuttaweb.db import Session
from wuttaweb.views import auth, essential

from myapp.sessions import SessionSecurityPolicy


class Policy(SessionSecurityPolicy):
    """Users and rights by wuttaweb's model, whose keys are UUIDs."""

    def user(self, request: Any, user_id: str) -> Any:
        return Session.get(wutta.get_app().model.User, UUID(user_id))

    def remember(self, request: Any, userid: UUID, **kw: Any) -> Any:
        return super().remember(request, str(userid), **kw)

    db_session = Session
    permits = WuttaSecurityPolicy.permits


class AuthView(auth.AuthView):
    """With a sign-out that does not call Beaker's `session.delete()`."""

    def logout(self) -> Any:
        return self.redirect(self.request.route_url("login"), headers=forget(self.request))


def configure(config: Configurator) -> None:
    settings = config.registry.settings
    settings["mako.directories"] = ["wuttaweb:templates"]
    settings["pyramid_deform.template_search_path"] = "wuttaweb:templates/deform"
    establish_theme(settings)
    config.set_security_policy(Policy())
    config.set_default_csrf_options(require_csrf=True, token="_csrf", header="X-CSRF-TOKEN")
    for package in ("pyramid_deform", "pyramid_fanstatic", "pyramid_mako", "pyramid_tm"):
        config.include(package)
    for name in ("add_permission_group", "add_permission"):
        config.add_directive(f"add_wutta_{name[4:]}", f"wuttaweb.auth.{name}")
    config.add_directive("add_wutta_master_view", "wuttaweb.conf.add_master_view")
    config.include("wuttaweb.static")
    config.include("wuttaweb.subscribers")
    essential.defaults(config, **{"wuttaweb.views.auth": AuthView.defaults})
    add_page(config, "/who", lambda request: str(request.authenticated_userid))


def sign_in(it: Site, sent: dict[str, str], origin: str = "https://localhost") -> Any:
    """As the browser does: the form lies in a template of Vue's, where WebTest finds none."""
    return it.browser.post("/login", sent, headers={"Origin": origin}, expect_errors=True)


def add_user() -> None:
    app = wutta.get_app()
    app.model.Base.metadata.create_all(wutta.appdb_engine)
    with app.short_session(commit=True) as session:
        user = app.model.User(username="ann")
        app.get_auth_handler().set_user_password(user, "correct horse")
        session.add(user)


with tempfile.TemporaryDirectory(prefix="myapp-application-") as folder:
    ini = Path(folder) / "wutta.conf"
    ini.write_text(f"[wutta.db]\ndefault.url = sqlite:///{folder}/wutta.sqlite\n")
    settings: dict[str, Any] = {"wutta.config": str(ini), "fanstatic.versioning": "true"}
    wutta = make_wutta_config(settings)
    add_user()
    with site(configure, **settings) as it:
        page, before = it.get("/login"), it.token
        (token,) = re.findall(r'name="_csrf"[^>]*value="([^"]+)"', page.text)[:1]
        sent = {"username": "ann", "password": "wrong", "_csrf": token}
        assert sign_in(it, sent).status_int == 200
        sent["password"] = "correct horse"
        assert sign_in(it, sent, origin="https://elsewhere.example").status_int == 400
        assert it.get("/who").text == "None"
        assert sign_in(it, sent).status_int == 302
        assert UUID(it.get("/who").text)
        assert it.token not in (None, before)
        assert not it.is_live(before)
        signed_in = it.token
        assert "ann" in it.get("/").text
        it.get("/logout")
        assert it.get("/who").text == "None"
        assert not it.is_live(signed_in)
