"""A small application around the session package: each view is a function of the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from webtest import TestApp

from myapp.database import create_database_engine
from myapp.sessions import SessionManager, get_manager
from myapp.sessions.sql.model import metadata

HTTPS = {"wsgi.url_scheme": "https", "HTTP_HOST": "example.com", "SERVER_PORT": "443"}

View = Callable[[Request], Any]


class Clock:
    """A clock that a test moves by hand, in milliseconds since 1970."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


def create_table(url: str) -> None:
    """Make the sessions table in an empty database."""
    engine = create_database_engine(url)
    metadata.create_all(engine)
    engine.dispose()


class App:
    """A WSGI application with sessions, a browser in front of it, and a way into its store."""

    def __init__(
        self,
        url: str,
        views: dict[str, View],
        *,
        configure: Callable[[Configurator], None] = lambda config: None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.url = url
        given = {f"session.{name}": value for name, value in settings.items()}
        with Configurator(settings={"session.url": url} | given) as config:
            config.include("myapp.sessions")
            configure(config)
            for name, view in views.items():
                config.add_route(name, f"/{name}")
                config.add_view(_returning(view), route_name=name)
        self.router = config.make_wsgi_app()
        self.manager: SessionManager = get_manager(self.router.registry)
        if clock is not None:
            self.manager.kind.clock = clock

    def browser(self) -> TestApp:
        """A client with an empty cookie jar, over https."""
        return TestApp(self.router, extra_environ=HTTPS)

    def get(self, path: str, *tokens: str, **environ: str) -> Any:
        """One request with exactly these session cookies."""
        name = self.manager.settings.cookie_name
        header = "; ".join(f"{name}={token}" for token in tokens)
        cookies = {"HTTP_COOKIE": header} if header else {}
        return self.browser().get(path, extra_environ=cookies | environ, expect_errors=True)

    def rows(self) -> list[Any]:
        """All rows of this manager that are no markers."""
        return list(self.manager.store.iterate(self.manager.name))

    def close(self) -> None:
        stop_sweepers(self.router)
        self.manager.store.close()


def stop_sweepers(router: Any) -> None:
    """No thread of one test goes on, and writes into the log, during the next."""
    for sweeper in router.registry["myapp.sessions"].sweepers:
        sweeper.stop()


def token_of(response: Any) -> str:
    """The token that a response sets."""
    (header,) = response.headers.getall("Set-Cookie")
    return str(header.partition(";")[0].partition("=")[2])


def cookies_of(response: Any) -> list[str]:
    """The Set-Cookie headers of a response."""
    return list(response.headers.getall("Set-Cookie"))


def _returning(view: View) -> View:
    """A view that may also answer None, or any value, to be shown as text."""

    def wrapped(request: Request) -> Any:
        answer = view(request)
        if hasattr(answer, "status_code"):
            return answer
        if isinstance(answer, dict):
            request.response.json_body = answer
            request.response.content_type = "application/json"
            return request.response
        request.response.text = "" if answer is None else str(answer)
        return request.response

    return wrapped
