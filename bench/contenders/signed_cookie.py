"""Pyramid's own SignedCookieSessionFactory: all of the session is in the cookie."""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.session import SignedCookieSessionFactory

from bench.contenders.pyramid_app import make_router, session_views
from bench.wsgi import USER, Application, WsgiProgram


class SignedCookie(WsgiProgram):
    """There is no database, and so nothing that a sign-out could end."""

    voids = ()

    def make_app(self) -> Application:
        return make_router(session_views(sign_in, sign_out), configure)

    def fill(self, rows: int) -> None:
        """There is nothing to fill."""


def configure(config: Configurator) -> None:
    """Its default settings."""
    config.set_session_factory(SignedCookieSessionFactory("a secret of the benchmark", secure=True))


def sign_in(request: Request) -> None:
    """There is no token to renew."""
    request.session["user"] = USER


def sign_out(request: Request) -> None:
    """The client forgets."""
    request.session.invalidate()


if __name__ == "__main__":
    SignedCookie.main()
