"""What a browser says of a form's origin, on plain http and on loopback, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from playwright.sync_api import BrowserContext, Page
from pyramid.config import Configurator
from pyramid.exceptions import BadCSRFOrigin
from pyramid.request import Request
from pyramid.response import Response

from harness.servers.ports import LOOPBACK, free_port
from tests.sessions.app import App, create_table


class _Threaded(ThreadingMixIn, WSGIServer):
    """A browser opens several connections, some of them for later."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Writes no log."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class Site:
    """A shop, reached by several names; every name shows a form whose target is the shop's."""

    def __init__(self, url: str) -> None:
        self.port = free_port()
        self.told: list[dict[str, str | None]] = []
        self.app = App(
            url, {}, configure=self._configure, sweep_interval="off", cookie_secure="false"
        )

    def at(self, host: str) -> str:
        """The address of the form under another name."""
        return f"http://{host}:{self.port}/form"

    def _configure(self, config: Configurator) -> None:
        config.add_settings({"pyramid.csrf_trusted_origins": f"partner.example:{self.port}"})
        config.set_default_csrf_options(require_csrf=True, check_origin=False)
        config.add_route("form", "/form")
        config.add_route("save", "/save")
        config.add_view(self._form, route_name="form")
        config.add_view(self._save, route_name="save")
        config.add_exception_view(lambda request: Response("refused"), context=BadCSRFOrigin)

    def _form(self, request: Request) -> Response:
        target = request.GET.get("to", request.host)
        response = Response(
            f"<form method='post' action='http://{target}/save'><button>Go</button>"
        )
        response.headers["Referrer-Policy"] = request.GET.get("referrer", "same-origin")
        return response

    def _save(self, request: Request) -> Response:
        names = ("Origin", "Sec-Fetch-Site")
        self.told.append({name: request.headers.get(name) for name in names})
        request.session["saved"] = True
        return Response("saved")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    create_table(url)
    site = Site(url)
    with make_server(LOOPBACK, site.port, site.app.router, _Threaded, _Quiet) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield site
        server.shutdown()
        thread.join()
    site.app.close()


def send(page: Page, address: str, **words: str) -> str:
    """Open a page with the form, send it, and read the answer."""
    page.goto(address + "?" + "&".join(f"{name}={value}" for name, value in words.items()))
    page.click("button")
    return page.inner_text("body")


def test_a_form_on_plain_http_passes_by_its_origin(
    site: Site, page: Page, context: BrowserContext
) -> None:
    """A13: Chromium sends no Sec-Fetch-Site there; showing the form has left no cookie."""
    page.goto(site.at("shop.example"))
    assert (context.cookies(), site.app.rows()) == ([], [])
    assert send(page, site.at("shop.example")) == "saved"
    origin = f"http://shop.example:{site.port}"
    assert site.told == [{"Origin": origin, "Sec-Fetch-Site": None}]
    assert len(context.cookies()) == len(site.app.rows()) == 1


def test_a_form_on_loopback_passes_by_sec_fetch_site(site: Site, page: Page) -> None:
    """A13: localhost counts as safe."""
    assert send(page, site.at("localhost")) == "saved"
    assert [told["Sec-Fetch-Site"] for told in site.told] == ["same-origin"]


@pytest.mark.parametrize("target", ["shop.example", "localhost"])
def test_a_form_of_another_site_is_refused(site: Site, page: Page, target: str) -> None:
    """A13: login CSRF, where the visitor has no session yet that could be asked."""
    answer = send(page, site.at("evil.example"), to=f"{target}:{site.port}")
    assert (answer, site.told, site.app.rows()) == ("refused", [], [])


def test_a_form_of_a_trusted_origin_passes_as_a_visitors(site: Site, page: Page) -> None:
    """A13: its Lax cookie stays at home, so it saves into a session of its own. The partner's page
    must not hide where it is: with `same-origin`, too, the origin is `null`.
    """
    assert send(page, site.at("shop.example")) == "saved"
    partner, target = site.at("partner.example"), f"shop.example:{site.port}"
    assert send(page, partner, to=target) == "refused"
    assert send(page, partner, to=target, referrer="strict-origin") == "saved"
    assert len(site.app.rows()) == 2


def test_a_page_that_hides_where_it_is_can_send_no_form(site: Site, page: Page) -> None:
    """A13: `no-referrer` makes the origin `null`, which is why our pages say `same-origin`."""
    assert send(page, site.at("shop.example"), referrer="no-referrer") == "refused"


def test_a_frame_in_a_sandbox_can_send_no_form(site: Site, page: Page) -> None:
    """A13: its origin is `null`, though the form is ours."""
    page.goto(site.at("evil.example"))
    frame: Any = f'<iframe sandbox="allow-forms" src="{site.at("shop.example")}"></iframe>'
    page.set_content(frame)
    page.frame_locator("iframe").locator("button").click()
    page.frame_locator("iframe").get_by_text("refused").wait_for()
    assert site.app.rows() == []
