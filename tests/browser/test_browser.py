"""The tests of the tests' own browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse

import pytest
from playwright.sync_api import Page

from harness.servers.ports import LOOPBACK, free_port


class _Quiet(WSGIRequestHandler):
    """Writes no log."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("attempt", [1, 2])
def test_every_test_gets_a_browser_without_cookies(page: Page, attempt: int) -> None:
    """The second attempt does not send what the first one was given."""
    with _site() as url:
        page.goto(url)
        assert page.inner_text("body") == "cookies: none"
        page.goto(url)
        assert page.inner_text("body") == "cookies: crumb=1"


def test_a_secure_cookie_is_kept_on_plain_http_for_localhost(page: Page) -> None:
    """So the application's Secure cookie can be tested without a certificate."""
    with _site("__Host-crumb=1; Secure; Path=/") as url:
        page.goto(url)
        page.goto(url)
        assert page.inner_text("body") == "cookies: __Host-crumb=1"


@contextmanager
def _site(cookie: str = "crumb=1") -> Iterator[str]:
    """A site that shows the cookies it gets and sets one."""

    def site(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html"), ("Set-Cookie", cookie)])
        return [f"cookies: {environ.get('HTTP_COOKIE', 'none')}".encode()]

    port = free_port()
    with make_server(LOOPBACK, port, site, handler_class=_Quiet) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{port}"
        server.shutdown()
        thread.join()
