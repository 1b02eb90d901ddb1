"""What a response says of its session: the cookie, Vary and Cache-Control."""

import pytest
from pyramid.request import Request

from tests.sessions.app import cookies_of, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.views import READING, VIEWS


def test_the_cookie_has_every_protection_by_default(make_app: MakeApp) -> None:
    """C3: Secure, HttpOnly, SameSite, Path and the lifetime's Max-Age."""
    app = make_app(VIEWS, cookie_name="sid", lifetime="3h")
    (header,) = cookies_of(app.get("/set"))
    value, _, attributes = header.partition("; ")
    assert value.startswith("sid=")
    assert len(value) == 4 + 43
    assert attributes == "Path=/; Max-Age=10800; Secure; HttpOnly; SameSite=Lax"


def test_a_value_is_there_in_the_next_request(make_app: MakeApp) -> None:
    """S3: what one request sets another reads."""
    app = make_app(VIEWS)
    assert app.get("/show", token_of(app.get("/set"))).json == {"key": "value", "cart": [1]}


@pytest.mark.parametrize("path", sorted(READING))
def test_every_look_at_the_contents_varies_by_cookie(make_app: MakeApp, path: str) -> None:
    """S8: missing Vary on `in` and `len` (Flask CVE-2026-27205, Django CVE-2026-35192)."""
    app = make_app(VIEWS)
    response = app.get(f"/{path}")
    assert response.headers["Vary"] == "Cookie"
    assert "Cache-Control" not in response.headers


@pytest.mark.parametrize("path", sorted(READING))
def test_reading_makes_neither_row_nor_cookie(make_app: MakeApp, path: str) -> None:
    """S2: new and empty is nothing."""
    app = make_app(VIEWS)
    assert cookies_of(app.get(f"/{path}")) == []
    assert app.rows() == []


@pytest.mark.parametrize(
    ("before", "after"),
    [("Accept", "Accept, Cookie"), ("cookie", "cookie"), ("*", "*"), ("A, Cookie", "A, Cookie")],
)
def test_vary_keeps_what_the_view_said(make_app: MakeApp, before: str, after: str) -> None:
    """S8: Cookie is added once, and not to a star."""

    def view(request: Request) -> None:
        request.response.headers["Vary"] = before
        request.session.get("key")

    assert make_app({"view": view}).get("/view").headers["Vary"] == after


def test_a_response_with_our_cookie_is_never_stored(make_app: MakeApp) -> None:
    """S8: whatever the view said of caching."""

    def view(request: Request) -> None:
        request.response.cache_control = "public, max-age=600"
        request.session["key"] = 1

    assert make_app({"view": view}).get("/view").headers["Cache-Control"] == "no-store"


def test_a_signed_in_page_is_not_stored_unless_the_view_says_so(make_app: MakeApp) -> None:
    """S8: ASVS 14.3.2."""

    def cached(request: Request) -> None:
        request.response.cache_control = "private, max-age=60"
        request.session.get("key")

    app = make_app(VIEWS | {"cached": cached})
    token = token_of(app.get("/sign_in"))
    assert app.get("/get", token).headers["Cache-Control"] == "no-store"
    assert "private" in app.get("/cached", token).headers["Cache-Control"]


class TestRememberMe:
    """I5: whether the cookie outlives the browser."""

    def test_a_session_can_be_forgotten_with_the_browser(self, make_app: MakeApp) -> None:
        """I5: the cookie is sent again, without Max-Age."""
        app = make_app(VIEWS)
        (header,) = cookies_of(app.get("/forget", token_of(app.get("/set"))))
        assert "Max-Age" not in header

    def test_a_session_can_be_kept_where_that_is_not_the_rule(self, make_app: MakeApp) -> None:
        """I5: against session.cookie_persist = false."""

        def view(request: Request) -> None:
            request.session.remember_me(True)
            request.session["key"] = 1

        app = make_app(VIEWS | {"view": view}, cookie_persist="false")
        assert "Max-Age" not in cookies_of(app.get("/set"))[0]
        assert "Max-Age=604800" in cookies_of(app.get("/view"))[0]


@pytest.mark.parametrize(
    ("host", "scheme", "warned"),
    [
        ("example.com", "http", True),
        ("example.com:8080", "http", True),
        ("example.com", "https", False),
        ("localhost:6543", "http", False),
        ("127.0.0.1", "http", False),
        ("[::1]:6543", "http", False),
        ("[::1]", "http", False),
    ],
)
def test_a_secure_cookie_over_plain_http_is_warned_of_once(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, host: str, scheme: str, warned: bool
) -> None:
    """C5: the classic "sessions don't stick"."""
    app = make_app(VIEWS)
    for _ in range(2):
        app.get("/set", HTTP_HOST=host, **{"wsgi.url_scheme": scheme})
    warnings = [record for record in caplog.records if "plain http" in record.getMessage()]
    assert len(warnings) == (1 if warned else 0)
    assert all("session.cookie_secure" in record.getMessage() for record in warnings)
