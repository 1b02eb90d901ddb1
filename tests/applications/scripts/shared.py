"""What each script begins with: an application with our sessions, and a browser beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response
from sqlalchemy import create_engine
from webtest import TestApp

from myapp.sessions import get_manager
from myapp.sessions.sql import model

View = Callable[[Any], Any]


class Site:
    """An application, and what its sessions hold."""

    def __init__(self, router: Any) -> None:
        self.router = router
        self.manager = get_manager(router.registry)
        self.browser = TestApp(router, extra_environ={"wsgi.url_scheme": "https"})

    @property
    def token(self) -> str | None:
        """What the browser's cookie holds."""
        return self.browser.cookies.get("session")

    def is_live(self, token: str) -> bool:
        """Whether a token still opens a session."""
        return not self.manager.session(token).__enter__().new

    def get(self, path: str, **options: Any) -> Any:
        """A page, whatever its status."""
        return self.browser.get(path, expect_errors=True, **options)


@contextmanager
def site(configure: Callable[[Configurator], None], **settings: str) -> Iterator[Site]:
    """The application that `configure` makes, with sessions in a SQLite file."""
    with tempfile.TemporaryDirectory(prefix="myapp-application-") as folder:
        url = f"sqlite:///{Path(folder) / 'sessions.sqlite'}"
        engine = create_engine(url)
        model.metadata.create_all(engine)
        engine.dispose()
        with Configurator(settings={"sqlalchemy.url": url, **settings}) as config:
            config.include("myapp.sessions")
            configure(config)
        made = Site(config.make_wsgi_app())
        try:
            yield made
        finally:
            for sweeper in made.router.registry["myapp.sessions"].sweepers:
                sweeper.stop()
            made.manager.store.close()


def add_page(config: Configurator, path: str, view: View) -> None:
    """A view at a path of its own, which may answer a text."""

    def answer(request: Any) -> Any:
        answered = view(request)
        return Response(answered) if isinstance(answered, str) else answered

    name = path.strip("/") or "home"
    config.add_route(name, path)
    config.add_view(answer, route_name=name)
