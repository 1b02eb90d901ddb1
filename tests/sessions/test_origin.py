"""What a browser says of a form's origin, and what is made of it: the verdict alone."""

from __future__ import annotations

from typing import Any

import pytest
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.testing import DummyRequest

from myapp.sessions.web.origin import is_ours

TRUSTED = "partner.example .friends.example shop.example:8443 [2001:db8::1]:444"


def verdict(url: str, trusted: str = TRUSTED, **headers: str) -> bool | None:
    """What is made of a POST to this address with these headers."""
    request = Request.blank(url, method="POST")
    request.registry = Registry()
    request.registry.settings = {"pyramid.csrf_trusted_origins": trusted}
    request.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return is_ours(request)


@pytest.mark.parametrize(
    ("url", "origin", "expected"),
    [
        ("https://example.com/", "https://example.com", True),
        ("https://example.com/", "https://example.com:443", True),
        ("https://example.com:443/", "https://example.com", True),
        ("https://example.com:80/", "https://example.com", True),
        ("https://EXAMPLE.com/", "https://example.com", True),
        ("https://example.com:8443/", "https://example.com:8443", True),
        ("https://[2001:db8::2]/", "https://[2001:db8::2]", True),
        # What comes by http may have been changed under way.
        ("https://example.com/", "http://example.com", False),
        ("https://example.com/", "https://example.com:8443", False),
        ("https://example.com:8443/", "https://example.com", False),
        ("https://example.com/", "https://sub.example.com", False),
        ("https://example.com/", "https://example.com.evil.example", False),
        ("https://example.com/", "https://evilexample.com", False),
        # A proxy may end TLS, with or without a word about it.
        ("http://example.com/", "http://example.com", True),
        ("http://example.com/", "https://example.com", True),
        ("http://example.com:80/", "https://example.com", True),
        ("http://example.com:443/", "https://example.com", True),
        ("http://localhost:6543/", "http://localhost:6543", True),
        ("http://localhost:6543/", "http://localhost:6544", False),
        ("http://example.com/", "http://example.com:443", False),
        ("http://[::1]:6543/", "http://[::1]:6543", True),
        ("http://example.com/", "http://evil.example", False),
    ],
)
def test_the_origin_must_be_the_host(url: str, origin: str, expected: bool) -> None:
    """A13: scheme, host and port, a default port written or not."""
    assert verdict(url, Origin=origin) is expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://partner.example", True),
        ("https://PARTNER.example", True),
        ("https://a.partner.example", False),
        ("https://partner.example:8443", False),
        ("https://friends.example", True),
        ("https://a.b.friends.example", True),
        ("https://notfriends.example", False),
        ("https://shop.example:8443", True),
        ("https://shop.example", False),
        ("https://[2001:db8::1]:444", True),
        ("http://partner.example", False),
    ],
)
@pytest.mark.parametrize("site", [None, "same-site", "cross-site"])
def test_trusted_origins_mean_what_they_mean_to_pyramid(
    site: str | None, origin: str, expected: bool
) -> None:
    """A13: a host, a domain with a dot before it, a port; whatever the browser calls it."""
    headers = {"Sec_Fetch_Site": site} if site else {}
    assert verdict("https://example.com/", Origin=origin, **headers) is expected


@pytest.mark.parametrize(
    "origin",
    [
        "null", "NULL", "https://", "https:example.com", "example.com", "//example.com", "\xff",
        "https://example.com/", "https://example.com/path", "https://example.com?a", "javascript:1",
        "https://user@example.com", "https://evil.example\\@example.com", "https://[example.com",
        "https://example.com:port", "https://example.com:99999", "https://example.com evil.example",
        "https://example.com, https://example.com", "file://example.com", "x" * 100_000,
    ],
)  # fmt: skip
def test_whatever_is_no_origin_is_refused(origin: str) -> None:
    """A13: `null` too, be it among the trusted ones; and nothing of it is an error of ours."""
    assert verdict("https://example.com/", "null", Origin=origin) is False


@pytest.mark.parametrize("host", ["[", "[::1", "a:b", "a:99999", ":", ""])
def test_a_host_that_is_none_is_nobodys(host: str) -> None:
    """A13: and no error of ours."""
    assert verdict("https://example.com/", Origin=f"https://{host}", Host=host) is False


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        # The same host by http, from which somebody in between sends a form.
        ({"Sec_Fetch_Site": "cross-site", "Origin": "https://example.com"}, False),
        ({"Sec_Fetch_Site": "same-site", "Origin": "null"}, False),
        # What a future browser may say proves nothing.
        ({"Sec_Fetch_Site": "unheard-of"}, None),
        ({"Sec_Fetch_Site": "unheard-of", "Origin": "https://example.com"}, True),
        ({"Sec_Fetch_Site": "unheard-of", "Origin": "https://evil.example"}, False),
        ({"Sec_Fetch_Site": "", "Origin": ""}, None),
        ({"Referer": "https://evil.example/"}, None),
        ({}, None),
    ],
)
def test_the_browsers_own_verdict_counts_first(
    headers: dict[str, str], expected: bool | None
) -> None:
    """A13: without either header nobody can tell."""
    assert verdict("https://example.com/", **headers) is expected


def test_a_request_without_settings_trusts_nobody() -> None:
    """A13: as in somebody's unit test."""
    headers: Any = {"Origin": "http://example.com"}
    assert is_ours(DummyRequest(headers=headers)) is True
    assert is_ours(DummyRequest(headers={"Origin": "http://evil.example"})) is False
    assert is_ours(DummyRequest()) is None
