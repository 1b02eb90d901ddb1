"""The security headers of every response."""

from __future__ import annotations

from typing import Any

import pytest
from pyramid import testing
from pyramid.request import Request
from pyramid.response import Response
from webtest import TestApp

from myapp.security_headers import headers_tween_factory
from myapp.settings import read_application_settings
from tests.functional.pages import check_page


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/health", 200), ("/static/app.css", 200), ("/nope", 404)]
)
def test_every_response_bears_them(testapp: TestApp, path: str, status: int) -> None:
    """ASVS 3.4: on pages, static files and errors alike, and no HSTS unless it was asked for."""
    headers = testapp.get(path, status=status).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers


@pytest.mark.parametrize("path", ["/", "/nope"])
def test_no_page_needs_what_the_policy_forbids(testapp: TestApp, path: str) -> None:
    """ASVS 3.4: neither inline style and script nor anything from elsewhere."""
    check_page(testapp.get(path, expect_errors=True).html)


def answer(settings: dict[str, Any], **headers: str) -> Response:
    """What becomes of a response with these headers."""

    def view(request: Request) -> Response:
        return Response(headerlist=list(headers.items()))

    with testing.testConfig() as config:
        given = {"sqlalchemy.url": "sqlite:////unused", **settings}
        config.registry["application_settings"] = read_application_settings(given, {})
        return headers_tween_factory(view, config.registry)(testing.DummyRequest())


def test_https_for_good_is_promised_on_demand() -> None:
    """ASVS 3.4: a year at least, subdomains included."""
    value = answer({"myapp.hsts": "true"}).headers["Strict-Transport-Security"]
    assert value == "max-age=31536000; includeSubDomains"


def test_what_a_view_set_itself_is_left_alone() -> None:
    """A page with needs of its own says so."""
    response = answer({}, **{"referrer-policy": "no-referrer"})
    assert response.headers.getall("Referrer-Policy") == ["no-referrer"]
