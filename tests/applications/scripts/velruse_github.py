"""velruse: signs people in by GitHub; the session holds the state that its answer must name."""

from __future__ import annotations

from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from pyramid.config import Configurator
from pyramid.security import remember
from shared import add_page, site

from myapp.sessions import SessionSecurityPolicy


class Answer:
    """What GitHub answers."""

    status_code, text = 200, "access_token=x"

    @staticmethod
    def json() -> dict[str, Any]:
        return {"id": 1, "login": "ann", "name": "Ann", "email": "ann@example.com"}


def complete(context: Any, request: Any) -> Any:
    remember(request, context.profile["preferredUsername"])
    request.response.text = "hello"
    return request.response


def configure(config: Configurator) -> None:
    config.set_security_policy(SessionSecurityPolicy())
    config.include("velruse.providers.github")
    config.add_github_login("key", "secret")
    config.add_view(complete, context="velruse.providers.github.GithubAuthenticationComplete")
    config.add_view(lambda request: request.response, context="velruse.exceptions.CSRFError")
    add_page(config, "/who", lambda request: str(request.authenticated_userid))


with site(configure) as it, mock.patch("requests.get", return_value=Answer()):
    there = it.get("/login/github").location
    (state,) = parse_qs(urlsplit(there).query)["state"]
    before = it.token
    it.get("/login/github/callback?code=1&state=wrong")
    assert it.get("/who").text == "None"
    it.get(f"/login/github/callback?code=1&state={state}")
    assert it.get("/who").text == "ann"
    assert it.token not in (None, before)
    assert not it.is_live(before)
