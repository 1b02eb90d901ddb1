"""What is saved when: without pyramid_tm, in streams, subrequests and retries."""

import contextlib
from collections.abc import Iterator

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPServerError
from pyramid.request import Request
from pyramid.response import Response

from myapp.sessions import SessionClosed
from tests.sessions.app import HTTPS, cookies_of, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.views import VIEWS, Heard


class TestWhatIsSavedWhen:
    """S6: without pyramid_tm the final response decides."""

    @pytest.mark.parametrize(
        ("outcome", "saved"),
        [
            (HTTPFound("/"), True),
            (HTTPForbidden(), True),
            (HTTPServerError(), False),
            (RuntimeError("unhandled"), False),
        ],
        ids=["raised redirect", "raised 403", "raised 500", "unhandled"],
    )
    def test_saved_below_500(self, make_app: MakeApp, outcome: Exception, saved: bool) -> None:
        """S6: a flash before `raise HTTPFound` survives; a failed request leaves nothing."""

        def view(request: Request) -> None:
            request.session.flash("Saved.")
            raise outcome

        app = make_app({"view": view})
        if isinstance(outcome, RuntimeError):
            with pytest.raises(RuntimeError):
                app.get("/view")
        else:
            assert bool(cookies_of(app.get("/view"))) is saved
        assert bool(app.rows()) is saved

    @pytest.mark.parametrize("outcome", [HTTPServerError(), RuntimeError("unhandled")])
    def test_an_ending_is_carried_out_whatever_the_response(
        self, make_app: MakeApp, outcome: Exception
    ) -> None:
        """S6: whoever asked to be signed out is."""

        def view(request: Request) -> None:
            request.session.sign_out()
            raise outcome

        app = make_app(VIEWS | {"view": view})
        token = token_of(app.get("/sign_in"))
        with contextlib.suppress(RuntimeError):
            app.get("/view", token)
        assert app.rows() == []

    def test_a_value_that_cannot_be_stored_sends_no_cookie(self, make_app: MakeApp) -> None:
        """S7, S10: found at save, since it is nested: an error that names key and type."""

        def view(request: Request) -> None:
            request.session["cart"] = cart = []
            cart.append({1, 2})

        app = make_app({"view": view})
        with pytest.raises(TypeError, match=r"session\['cart'\]: a list can't be stored"):
            app.get("/view")
        assert app.rows() == []

    def test_a_session_over_its_size_is_refused(self, make_app: MakeApp) -> None:
        """S10: with the sizes named, through the exception views."""

        def view(request: Request) -> None:
            request.session["key"] = "x" * 5000

        def configure(config: Configurator) -> None:
            config.add_exception_view(
                lambda error, request: Response(str(error), status=413), context=ValueError
            )

        app = make_app({"view": view}, configure=configure, max_size="4 KiB")
        response = app.get("/view")
        assert response.status_code == 413
        assert "session.max_size allows (4096)" in response.text
        assert cookies_of(response) == []
        assert app.rows() == []


@pytest.mark.parametrize("more", [False, True])
def test_a_cookie_that_a_locked_block_asked_for_is_sent(make_app: MakeApp, more: bool) -> None:
    """I5, S13: whether anything is changed after the block or not."""

    def view(request: Request) -> None:
        with request.session.lock():
            request.session.remember_me(False)
        if more:
            request.session["more"] = 1

    app = make_app(VIEWS | {"view": view})
    token = token_of(app.get("/set"))
    (cookie,) = cookies_of(app.get("/view", token))
    assert token in cookie
    assert "Max-Age" not in cookie


class TestStreamsAndSubrequests:
    """S12: where the tween is not, or the response is under way already."""

    def test_a_loaded_session_stays_readable_in_a_streamed_body(self, make_app: MakeApp) -> None:
        """S10: what was read in the view."""

        def view(request: Request) -> Response:
            request.session.get("key")

            def body() -> Iterator[bytes]:
                yield request.session["key"].encode()

            return Response(app_iter=body())

        app = make_app(VIEWS | {"view": view})
        assert app.get("/view", token_of(app.get("/set"))).text == "value"

    @pytest.mark.parametrize("touched_before", [True, False])
    def test_in_a_streamed_body_it_is_too_late(
        self, make_app: MakeApp, touched_before: bool
    ) -> None:
        """S10: for a first access, and for a change."""
        errors = []

        def view(request: Request) -> Response:
            if touched_before:
                request.session.get("key")

            def body() -> Iterator[bytes]:
                try:
                    request.session["key"] = 2
                except SessionClosed as error:
                    errors.append(str(error))
                yield b"done"

            return Response(app_iter=body())

        app = make_app({"view": view})
        assert app.get("/view").text == "done"
        assert len(errors) == 1

    @pytest.mark.parametrize("use_tweens", [True, False])
    def test_a_subrequest_saves_a_session_of_its_own(
        self, make_app: MakeApp, use_tweens: bool
    ) -> None:
        """S12: with the subrequest's cookie, on the subrequest's response."""

        def outer(request: Request) -> str:
            request.session["outer"] = 1
            inner = Request.blank("/set", environ=HTTPS)
            answer = request.invoke_subrequest(inner, use_tweens=use_tweens)
            return token_of(answer)

        app = make_app(VIEWS | {"outer": outer})
        response = app.get("/outer")
        assert app.get("/show", response.text).json["key"] == "value"
        assert app.get("/show", token_of(response)).json == {"outer": 1}

    def test_an_exception_view_can_use_the_session(self, make_app: MakeApp) -> None:
        """S12, S8: an error page with a flash message."""

        def failing(request: Request) -> None:
            raise KeyError("no such thing")

        def shown(error: KeyError, request: Request) -> Response:
            request.session.flash(str(error))
            return Response("sorry", status=404)

        app = make_app(
            VIEWS | {"failing": failing},
            configure=lambda config: config.add_exception_view(shown, context=KeyError),
        )
        response = app.get("/failing")
        assert response.headers["Vary"] == "Cookie"
        assert app.get("/peek", token_of(response)).text == "[\"'no such thing'\"]"

    @pytest.mark.parametrize("panel", ["", "session"])
    def test_the_debug_toolbar_works(self, make_app: MakeApp, panel: str) -> None:
        """S12, L1: its session panel may look, before and after; without it nothing is asked."""

        def configure(config: Configurator) -> None:
            config.add_settings({"debugtoolbar.hosts": "0.0.0.0/0"})
            config.include("pyramid_debugtoolbar")

        app = make_app(VIEWS | {"none": lambda request: "<body>ok</body>"}, configure=configure)
        local = {"REMOTE_ADDR": "127.0.0.1"}
        token = token_of(app.get("/set", HTTP_COOKIE=f"pdtb_active={panel}", **local))
        local["HTTP_COOKIE"] = f"pdtb_active={panel}; session={token}"
        assert app.get("/show", **local).json["key"] == "value"
        response = app.get("/none", **local)
        assert "_debug_toolbar" in response.text
        assert ("Vary" in response.headers) is bool(panel)


def test_a_retried_attempt_saves_nothing(make_app: MakeApp, heard: Heard) -> None:
    """S11: neither a change nor an ending of a discarded attempt is carried out."""
    attempts = []

    def view(request: Request) -> str:
        from pyramid_retry import RetryableException

        attempts.append(1)
        if len(attempts) == 1:
            request.session.invalidate()
            request.session["attempt"] = 1
            raise RetryableException
        request.session["attempt"] = 2
        return "done"

    def configure(config: Configurator) -> None:
        heard(config)
        config.include("pyramid_retry")
        config.add_exception_view(lambda error, request: Response("oops", status=200))

    app = make_app(VIEWS | {"view": view}, configure=configure)
    token = token_of(app.get("/set"))
    heard.events.clear()
    response = app.get("/view", token)
    assert (response.text, cookies_of(response)) == ("done", [])
    assert app.get("/show", token).json == {"key": "value", "cart": [1], "attempt": 2}
    assert heard.events == []
