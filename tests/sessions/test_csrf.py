"""Who may send a form: visitors by their browser's word, users by the token of their session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.csrf import check_csrf_token, get_csrf_token, new_csrf_token
from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken, ConfigurationExecutionError
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import remember
from pyramid.testing import DummyRequest, DummySession
from pyramid.view import render_view_to_response
from webtest import TestApp

from harness.wire import SQLiteTap, counting
from myapp.sessions import SessionCSRFPolicy, SessionSecurityPolicy, UnprovenOrigin
from myapp.sessions.testing import session, sign_in, stored_session
from tests.sessions.app import App, cookies_of
from tests.sessions.conftest import MakeApp

OURS = {"Origin": "https://example.com"}
EVIL = {"Origin": "https://evil.example"}
PARTNER = {"Origin": "https://partner.example"}
NULL = {"Origin": "null"}
SILENT: dict[str, str] = {}

TRUSTED = {"pyramid.csrf_trusted_origins": "partner.example"}


def form(request: Request) -> Response:
    """A page with a form."""
    return Response(get_csrf_token(request))


def save(request: Request) -> Response:
    """What the form leads to."""
    request.session["saved"] = request.POST.get("text", "")
    return Response("saved")


def enter(request: Request) -> Response:
    """Signing in."""
    remember(request, request.POST.get("name", "ann"))
    return Response("welcome")


def fails(request: Request) -> Response:
    """A view of sign-in's kin whose error page has a form, too."""
    raise LookupError


def breaks(request: Request) -> Response:
    """A view of sign-in's kin whose error page asks by itself."""
    raise ArithmeticError


def inner(request: Request) -> Response:
    """A view of sign-in's kin that renders another one."""
    return render_view_to_response(None, request, name="save_by_name")


def asks(request: Request) -> Response:
    """A view that only wants to know."""
    return Response(str(check_csrf_token(request, raises=False)))


def refused(error: Exception, request: Request) -> Response:
    """An error page that names what was raised."""
    return Response(type(error).__name__, status=400)


def again(error: UnprovenOrigin, request: Request) -> Response:
    """The form as it was filled in, with a token."""
    return Response(f"{request.POST['text']} {request.session.new_csrf_token()}", status=400)


def caught(error: LookupError, request: Request) -> Response:
    """An exception view that changes something."""
    return save(request)


def configure(config: Configurator) -> None:
    """An application as docs/how-to/own-application.md has it."""
    config.add_settings(TRUSTED)
    config.set_default_csrf_options(require_csrf=True, check_origin=False)
    config.set_security_policy(SessionSecurityPolicy())
    config.add_exception_view(refused, context=BadCSRFToken)
    config.add_exception_view(refused, context=BadCSRFOrigin)
    config.add_view(caught, context=LookupError, exception_only=True, require_csrf=True)
    by_origin = {"csrf_by_origin": True}
    views = {"form": form, "save": save, "again": save, "free": asks}
    for name, view in views.items():
        options = {"require_csrf": False} if name == "free" else {}
        config.add_route(name, f"/{name}")
        config.add_view(view, route_name=name, **options)
    config.add_exception_view(lambda error, request: asks(request), context=ArithmeticError)
    kin = {"enter": enter, "fails": fails, "breaks": breaks, "inner": inner}
    for name, view in kin.items():
        config.add_route(name, f"/{name}")
        config.add_view(view, route_name=name, **by_origin)
    config.add_view(save, name="save_by_name")
    config.add_exception_view(again, context=UnprovenOrigin, route_name="again")


@pytest.fixture
def app(make_app: MakeApp) -> App:
    return make_app({}, configure=configure, sweep_interval="off")


@pytest.fixture
def tokens(make_app: MakeApp) -> App:
    """The same with tokens for everybody."""
    return make_app({}, configure=configure, sweep_interval="off", csrf="token")


def user(app: App) -> TestApp:
    """Somebody who is signed in."""
    browser = app.browser()
    sign_in(browser, "ann")
    return browser


def post(browser: TestApp, path: str, headers: dict[str, str], token: str | None = None) -> str:
    """The answer's text, be it refused or not."""
    fields = {"text": "Milk"} | ({} if token is None else {"csrf_token": token})
    return str(browser.post(path, fields, headers, expect_errors=True).text)


class TestAVisitor:
    def test_a_form_makes_no_row_and_no_cookie(self, app: App) -> None:
        """A13, S2: be it shown ten times; and it may be kept by no shared cache."""
        for _ in range(10):
            answer = app.browser().get("/form")
            assert (answer.text, cookies_of(answer)) == ("", [])
            assert "Cookie" in answer.headers["Vary"]
        assert app.rows() == []

    @pytest.mark.parametrize(
        "headers", [OURS, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, PARTNER]
    )
    def test_a_form_of_ours_passes_without_a_token(self, app: App, headers: dict[str, str]) -> None:
        """A13: by the browser's word, from a trusted origin too."""
        assert post(app.browser(), "/save", headers) == "saved"
        assert len(app.rows()) == 1

    @pytest.mark.parametrize("token", ["", "guess"])
    def test_with_things_in_the_session_it_is_a_visitor_still(self, app: App, token: str) -> None:
        """A13: without a user, with or without a session; what was in the field does not count."""
        browser = app.browser()
        with stored_session(browser) as stored:
            stored["cart"] = ["tea"]
        assert browser.get("/form").text == ""
        assert post(browser, "/save", OURS, token) == "saved"

    def test_a_client_that_says_nothing_gets_the_form_again_and_a_token(self, app: App) -> None:
        """A13: filled in, as 400; row and cookie only now, and the second attempt passes."""
        browser = app.browser()
        answer = browser.post("/again", {"text": "Milk"}, status=400)
        text, token = answer.text.split()
        assert (text, len(cookies_of(answer)), len(app.rows())) == ("Milk", 1, 1)
        assert browser.get("/form").text == token
        assert post(browser, "/again", SILENT, "guess").startswith("Milk")
        with stored_session(browser) as stored:
            token = stored.get_csrf_token()
        assert post(browser, "/again", SILENT, token) == "saved"

    def test_a_page_without_such_an_answer_refuses_and_leaves_nothing(self, app: App) -> None:
        """A13: a robot's stray POST starts no session."""
        assert post(app.browser(), "/save", SILENT) == "UnprovenOrigin"
        assert app.rows() == []


class TestAUser:
    def test_the_token_is_needed(self, app: App) -> None:
        """ASVS 3.5.1: wherever the form comes from."""
        browser = user(app)
        token = browser.get("/form").text
        for headers in (OURS, PARTNER, SILENT):
            assert post(browser, "/save", headers) == "BadCSRFToken"
            assert post(browser, "/save", headers, "") == "BadCSRFToken"
            assert post(browser, "/save", headers, token) == "saved"

    def test_another_sessions_token_is_refused(self, app: App) -> None:
        """ASVS 3.5.1: it is bound to the session."""
        others = user(app).get("/form").text
        assert len(others) > 20
        assert post(user(app), "/save", OURS, others) == "BadCSRFToken"

    @pytest.mark.parametrize(
        "headers", [EVIL, NULL, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
    )
    def test_another_site_is_refused_with_the_right_token(
        self, app: App, headers: dict[str, str]
    ) -> None:
        """ASVS 3.5.1: and told apart from a form that has expired."""
        browser = user(app)
        token = browser.get("/form").text
        assert post(browser, "/save", headers, token) == "BadCSRFOrigin"


class TestAttacks:
    def test_login_csrf(self, app: App) -> None:
        """A13: another site can't sign its visitor in as the attacker, whoever is signed in."""
        for browser in (app.browser(), user(app)):
            before = browser.cookies.copy()
            for headers in (EVIL, NULL, {"Sec-Fetch-Site": "cross-site"}):
                assert post(browser, "/enter", headers) == "BadCSRFOrigin"
            assert post(browser, "/enter", SILENT) == "UnprovenOrigin"
            assert browser.cookies == before

    @pytest.mark.parametrize("headers", [EVIL, {"Sec-Fetch-Site": "cross-site"}])
    def test_cross_site_post_costs_no_query(
        self, make_app: MakeApp, sqlite_url: str, headers: dict[str, str]
    ) -> None:
        """A13: it is refused before anybody looks who it is."""
        with SQLiteTap(sqlite_url) as tap:
            browser = user(make_app({}, configure=configure, sweep_interval="off"))
            browser.get("/form")
            with counting(tap) as wire:
                assert post(browser, "/save", headers) == "BadCSRFOrigin"
                assert post(browser, "/enter", headers) == "BadCSRFOrigin"
            assert wire.statements == []
            with counting(tap) as wire:
                browser.get("/form")
            assert wire.verbs == ["SELECT"]

    def test_null_origin(self, app: App) -> None:
        """A13: a sandboxed frame, or a page without referrer, is nobody of ours."""
        assert post(app.browser(), "/save", NULL) == "BadCSRFOrigin"

    def test_trusted_origin_as_a_visitor(self, app: App) -> None:
        """A13: its cross-site POST bears no Lax cookie, and so does nothing in a user's name."""
        user(app)
        assert post(app.browser(), "/save", {**PARTNER, "Sec-Fetch-Site": "cross-site"}) == "saved"
        assert [row.user_id for row in app.rows()].count("ann") == 1
        assert {row.user_id for row in app.rows()} == {"ann", None}


class TestByOrigin:
    def test_signing_in_needs_no_token_whoever_is_signed_in(self, app: App) -> None:
        """A13: as a visitor, as the same user, and as another one."""
        for browser in (app.browser(), user(app)):
            assert post(browser, "/enter", OURS) == "welcome"
            assert post(browser, "/save", OURS) == "BadCSRFToken"

    def test_a_silent_client_passes_with_its_token(self, app: App) -> None:
        """A13: the rule for visitors, with a user."""
        browser = user(app)
        assert post(browser, "/enter", SILENT, browser.get("/form").text) == "welcome"

    def test_the_option_is_of_its_view_alone(self, app: App) -> None:
        """A13: a view that it renders asks for the token by its own rule."""
        browser = user(app)
        assert post(browser, "/inner", OURS) == "BadCSRFToken"
        assert post(browser, "/inner", OURS, browser.get("/form").text) == "saved"

    def test_the_option_is_not_of_the_error_page(self, app: App) -> None:
        """A13: nor does an exception view inherit it."""
        browser = user(app)
        with pytest.raises(BadCSRFToken):
            post(browser, "/fails", OURS)
        assert post(browser, "/fails", OURS, browser.get("/form").text) == "saved"
        assert post(browser, "/breaks", OURS) == "False"

    def test_an_option_that_would_do_nothing_is_refused(self, make_app: MakeApp) -> None:
        """A13: nobody takes a view for protected that is not."""

        def unprotected(config: Configurator) -> None:
            config.add_view(enter, csrf_by_origin=True)

        with pytest.raises(ConfigurationExecutionError, match="require_csrf=True"):
            make_app({}, configure=unprotected)


class TestTokensForEverybody:
    def test_a_form_starts_a_session(self, tokens: App) -> None:
        """C: `session.csrf = token`, as it was before."""
        browser = tokens.browser()
        token = browser.get("/form").text
        assert (len(token) > 20, len(tokens.rows())) == (True, 1)
        for path in ("/save", "/enter"):
            assert post(browser, path, OURS) == "BadCSRFToken"
            assert post(browser, path, SILENT, token) != "BadCSRFToken"
            token = browser.get("/form").text

    def test_other_sites_and_stray_posts_are_refused(self, tokens: App) -> None:
        """ASVS 3.5.1: the latter without a row."""
        assert post(tokens.browser(), "/again", SILENT) == "BadCSRFToken"
        assert tokens.rows() == []
        browser = tokens.browser()
        token = browser.get("/form").text
        assert post(browser, "/save", EVIL, token) == "BadCSRFOrigin"


@pytest.fixture
def both(app: App, tokens: App) -> Iterator[tuple[TestApp, str]]:
    """Users of both applications, with their tokens."""
    browsers = user(app), user(tokens)
    return iter([(browser, browser.get("/form").text) for browser in browsers])


class TestWhatIsNoToken:
    def test_a_file_where_the_token_is_expected(self, both: Iterator[tuple[TestApp, str]]) -> None:
        """A13: 400, never 500; be it the right token, as a file."""
        for browser, token in both:
            files = [("csrf_token", "a.txt", token.encode())]
            browser.post("/save", {}, OURS, upload_files=files, status=400)

    @pytest.mark.parametrize("text", ["é", "日本", "\udcff", "\x00", "x" * 5_000, " "])
    def test_a_text_that_is_no_token(self, both: Iterator[tuple[TestApp, str]], text: str) -> None:
        """A13: 400, in the body and in the header."""
        for browser, token in both:
            for sent in (text, text + token, token + text):
                body = sent.encode(errors="surrogateescape")
                browser.post("/save", {"csrf_token": body}, OURS, status=400)
                header = body.decode("latin-1")
                environ = {"HTTP_X_CSRF_TOKEN": header}
                browser.post("/save", {}, OURS, status=400, extra_environ=environ)

    def test_several_tokens(self, both: Iterator[tuple[TestApp, str]]) -> None:
        """A13: the last one counts, as with any field."""
        for browser, token in both:
            browser.post("/save", [("csrf_token", token), ("csrf_token", "x")], OURS, status=400)
            browser.post("/save", [("csrf_token", "x"), ("csrf_token", token)], OURS, status=200)

    @pytest.mark.parametrize("body", [b"[]", b"{\xff", b'{"csrf_token": 1}'])
    def test_a_body_that_is_no_form(self, both: Iterator[tuple[TestApp, str]], body: bytes) -> None:
        """A13: the header then holds the token."""
        for browser, token in both:
            headers = {**OURS, "Content-Type": "application/json"}
            browser.post("/save", body, headers, status=400)
            browser.post("/save", body, {**headers, "X-CSRF-Token": token}, status=200)


class TestPyramidsWays:
    def test_a_view_may_ask_without_an_error(self, app: App) -> None:
        """A13: `check_csrf_token(request, raises=False)` answers, and raises nothing."""
        answers = [post(app.browser(), "/free", headers) for headers in (OURS, EVIL, SILENT)]
        assert answers == ["True", "False", "False"]

    def test_a_new_token_replaces_the_old_one(self, app: App) -> None:
        """A13: `new_csrf_token` makes one for anybody."""
        request = Request.blank("/")
        request.registry, request.session = app.router.registry, session()
        made = new_csrf_token(request)
        assert get_csrf_token(request) == made == request.session.csrf_token

    @pytest.mark.parametrize("mode", ["visitors_by_origin", "token"])
    def test_a_dummy_session_has_a_token(self, mode: str) -> None:
        """I13: Pyramid's own unit tests go on as they are."""
        policy, request = SessionCSRFPolicy(mode), DummyRequest(session=DummySession())
        token = policy.get_csrf_token(request)
        assert policy.check_csrf_token(request, token)
        for wrong in ("x", "", "\udcff", b"x", None):
            assert not policy.check_csrf_token(request, wrong)

    def test_a_session_for_unit_tests_follows_the_rule(self) -> None:
        """I13: a token for a user, and none for a visitor."""
        policy = SessionCSRFPolicy()
        assert policy.get_csrf_token(DummyRequest(session=session())) == ""
        signed_in = DummyRequest(session=session("ann"))
        assert policy.check_csrf_token(signed_in, policy.get_csrf_token(signed_in))

    def test_an_unknown_mode_is_refused(self) -> None:
        """A13: the setting's words, and no others."""
        with pytest.raises(ValueError, match="expected visitors_by_origin or token, not 'tokens'"):
            SessionCSRFPolicy("tokens")

    def test_another_policy_is_left_alone(self, make_app: MakeApp) -> None:
        """I: an application may set its own, and gets Pyramid's errors."""

        class Never:
            def check_csrf_token(self, request: Any, token: str) -> bool:
                return False

        def own(config: Configurator) -> None:
            configure(config)
            config.commit()
            config.set_csrf_storage_policy(Never())

        assert post(make_app({}, configure=own).browser(), "/save", SILENT) == "BadCSRFToken"
