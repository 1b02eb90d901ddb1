"""Applications as they were before a move, and the same afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pyramid.authentication import AuthTktCookieHelper
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.session import SignedCookieSessionFactory
from webtest import TestApp

from myapp.sessions import SessionSecurityPolicy
from tests.sessions.app import HTTPS, App
from tests.sessions.conftest import MakeApp

SECRET: Final = "the old secret"
OLD: Final = "old_session"
SIGNED: Final = {
    "moving.from": "signed_cookie",
    "moving.user_key": "user",
    "moving.signed_cookie.secret": SECRET,
    "moving.signed_cookie.cookie_name": OLD,
}
TICKETS: Final = {"moving.from": "auth_tkt", "moving.auth_tkt.secret": SECRET}

Change = Callable[[Request], Any]


class Policy(SessionSecurityPolicy):
    """Users with a generation; eve may not sign in any more."""

    def user(self, request: Request, user_id: str) -> Any:
        return None if user_id == "eve" else user_id

    def generation(self, user: Any) -> bytes:
        return f"of {user}".encode()


def old_cookies(change: Change, **options: Any) -> str:
    """The Cookie header of a browser whose session an application of Pyramid's own kind changed."""

    def view(request: Request) -> Any:
        headers = change(request)
        request.response.headerlist.extend(headers or [])
        return request.response

    with Configurator() as config:
        given: dict[str, Any] = {"cookie_name": OLD} | options
        config.set_session_factory(SignedCookieSessionFactory(SECRET, **given))
        config.add_route("change", "/")
        config.add_view(view, route_name="change")
    browser = TestApp(config.make_wsgi_app(), extra_environ=HTTPS)
    browser.get("/")
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def holding(values: dict[Any, Any], *, and_then: Change = lambda request: None) -> Change:
    """A change that puts values into the session."""

    def change(request: Request) -> Any:
        request.session.update(values)
        return and_then(request)

    return change


def ticket(user_id: object) -> Change:
    """A change that signs a user in by AuthTkt."""
    return lambda request: AuthTktCookieHelper(SECRET, hashalg="sha512").remember(request, user_id)


def moved(
    make_app: MakeApp, views: dict[str, Change], given: dict[str, str], **options: Any
) -> App:
    """The application after the move."""

    def configure(config: Configurator) -> None:
        config.set_security_policy(Policy())
        config.add_settings(given)
        options.pop("configure", lambda config: None)(config)
        config.include("myapp.sessions.moving")

    return make_app(
        views, configure=configure, **{k: v for k, v in options.items() if k != "configure"}
    )


def send(app: App, path: str, cookies: str, **environ: str) -> Any:
    """One request with exactly these cookies."""
    given = {"HTTP_COOKIE": cookies} | environ
    return app.browser().get(path, extra_environ=given, expect_errors=True)


def ours(response: Any) -> str:
    """Our cookie, as the next request sends it; empty if the response sets none."""
    headers = response.headers.getall("Set-Cookie")
    found = [each.partition(";")[0] for each in headers if each.startswith("session=")]
    return found[0] if found else ""


def deletes_old(response: Any, name: str = OLD) -> bool:
    """Whether a response deletes the old cookie."""
    headers = response.headers.getall("Set-Cookie")
    return any(each.startswith(f"{name}=;") and "Max-Age=0" in each for each in headers)
