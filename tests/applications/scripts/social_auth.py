"""social-auth-app-pyramid: Python Social Auth's pages; the session holds the state of a sign-in.

What it calls `LOGIN_FUNCTION` is the application's own, which remembers the user by our policy.
"""

from __future__ import annotations

import json
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import social_pyramid.models
from pyramid.config import Configurator
from pyramid.security import remember
from requests import Response
from shared import add_page, site
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from sqlalchemy.types import String

from myapp.sessions import SessionSecurityPolicy

SETTINGS = {
    "SOCIAL_AUTH_USER_MODEL": f"{__name__}.User",
    "SOCIAL_AUTH_LOGIN_FUNCTION": f"{__name__}.sign_in",
    "SOCIAL_AUTH_AUTHENTICATION_BACKENDS": ["social_core.backends.github.GithubOAuth2"],
    "SOCIAL_AUTH_LOGIN_REDIRECT_URL": "/who",
    "SOCIAL_AUTH_GITHUB_KEY": "key",
    "SOCIAL_AUTH_GITHUB_SECRET": "secret",
}
DB = scoped_session(sessionmaker(create_engine("sqlite://")))


class Base(DeclarativeBase):
    """The application's models."""


class User(Base):
    """As its documentation asks for."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(50))
    email: Mapped[str] = mapped_column(String(50))
    fullname: Mapped[str | None] = mapped_column(String(50))
    first_name: Mapped[str | None] = mapped_column(String(50))
    last_name: Mapped[str | None] = mapped_column(String(50))


class Policy(SessionSecurityPolicy):
    """Users by the application's model."""

    def user(self, request: Any, user_id: str) -> Any:
        return DB.get(User, int(user_id))


def sign_in(backend: Any, user: User, social_user: Any) -> None:
    remember(backend.strategy.request, user.id, method=backend.name)


def answer(method: str, url: str, **options: Any) -> Response:
    """What GitHub answers: a token, then whose it is."""
    found = {"access_token": "x", "id": 1, "login": "ann", "email": "ann@example.com"}
    made = Response()
    made.status_code, made._content = 200, json.dumps(found).encode()
    return made


def configure(config: Configurator) -> None:
    config.set_security_policy(Policy())
    config.include("social_pyramid")
    config.add_request_method(lambda request: request.identity, "user", reify=True)
    social_pyramid.models.init_social(config, Base, DB)
    Base.metadata.create_all(DB.get_bind())
    config.scan("social_pyramid.views")
    config.add_view(
        lambda request: request.response, context="social_core.exceptions.AuthException"
    )
    add_page(config, "/who", lambda request: str(request.authenticated_userid))


with site(configure, **SETTINGS) as it, mock.patch("requests.Session.request", side_effect=answer):
    there = it.get("/login/github").location
    (state,) = parse_qs(urlsplit(there).query)["state"]
    before = it.token
    it.get("/complete/github?code=1&state=wrong")
    assert it.get("/who").text == "None"
    assert it.get(f"/complete/github?code=1&state={state}").location.endswith("/who")
    assert it.get("/who").text == "1"
    assert it.token not in (None, before)
    assert not it.is_live(before)
