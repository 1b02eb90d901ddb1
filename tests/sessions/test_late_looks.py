"""First looks that come late: over our tween, in a subscriber, on an error page after a failed
save."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.events import NewResponse
from pyramid.httpexceptions import HTTPNotFound
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from myapp.sessions import Session, SessionClosed, SessionTooLarge, SessionUnavailable
from tests.sessions.app import App, cookies_of
from tests.sessions.conftest import MakeApp
from tests.sessions.meanwhile import Act, contents_of, row_of, stored

LOOK = "tests.look"


def log_tween_factory(handler: Any, registry: Registry) -> Any:
    """A tween over ours, such as an access log's."""

    def log_tween(request: Request) -> Response:
        response = handler(request)
        request.registry.settings[LOOK](request.session)
        return response

    return log_tween


def over_our_tween(config: Configurator, look: Act) -> None:
    """The look is had once the response has passed our tween."""
    config.add_settings({LOOK: look})
    config.add_tween(f"{__name__}.log_tween_factory")


def in_a_subscriber(config: Configurator, look: Act) -> None:
    """The look is had when the response is announced, which is later still."""
    config.add_subscriber(lambda event: look(event.request.session), NewResponse)


def missing(request: Request) -> Any:
    raise HTTPNotFound


VIEWS: dict[str, Any] = {
    "plain": lambda request: "a page that needs no session",
    "missing": missing,
    "show": lambda request: request.session.copy(),
    "peek": lambda request: request.session.peek_flash(),
    "csrf": lambda request: request.session.csrf_token,
}

Late = Callable[[Configurator, Act], None]


@pytest.fixture(params=[over_our_tween, in_a_subscriber])
def late(request: pytest.FixtureRequest) -> Late:
    where: Late = request.param
    return where


def looked(make_app: MakeApp, late: Late, look: Act) -> App:
    return make_app(VIEWS, configure=lambda config: late(config, look))


class TestALook:
    """After our tween, by somebody who never asked before."""

    @pytest.mark.parametrize("path", ["/plain", "/missing"])
    def test_it_sees_what_is_stored(self, make_app: MakeApp, late: Late, path: str) -> None:
        """S10: the page is as it was, depends on the cookie from here on, and sets none."""
        seen: list[Any] = []
        app = looked(make_app, late, lambda session: seen.append((session.user_id, dict(session))))
        with app.manager.session() as session:
            session.sign_in("ann")
            session["cart"] = [1]
        before = app.rows()
        response = app.get(path, session.token)
        assert response.status_code == (200 if path == "/plain" else 404)
        assert seen == [("ann", {"cart": [1]})]
        assert response.headers["Vary"] == "Cookie"
        assert cookies_of(response) == []
        assert app.rows() == before

    @pytest.mark.parametrize("token", [None, "A" * 43])
    def test_it_finds_nothing_where_nothing_is(
        self, make_app: MakeApp, late: Late, token: str | None
    ) -> None:
        """S10, L3: no session, or none any more; neither row nor cookie comes of it."""
        seen: list[Any] = []
        app = looked(
            make_app,
            late,
            lambda session: seen.append((len(session), session.user_id, session.csrf_token)),
        )
        response = app.get("/plain", *[token] if token else [])
        assert seen == [(0, None, None)]
        assert (response.status_code, response.headers["Vary"]) == (200, "Cookie")
        assert cookies_of(response) == app.rows() == []

    def test_a_list_that_it_changes_is_not_saved(self, make_app: MakeApp, late: Late) -> None:
        """S10: nor is the page any worse for it."""
        app = looked(make_app, late, lambda session: session["cart"].append(2))
        token = stored(app, cart=[1])
        assert app.get("/plain", token).status_code == 200
        assert contents_of(app, token) == {"cart": [1]}

    def test_a_subrequest_that_is_looked_at_says_nothing_of_the_page(
        self, make_app: MakeApp, late: Late
    ) -> None:
        """S10, S12: with tweens of its own, it is looked at as any other, and nothing fails."""
        seen: list[Any] = []

        def outer(request: Request) -> str:
            inner = Request.blank("/plain", cookies=dict(request.cookies))
            return str(request.invoke_subrequest(inner, use_tweens=True).text)

        app = make_app(
            VIEWS | {"outer": outer},
            configure=lambda config: late(config, lambda session: seen.append(dict(session))),
        )
        response = app.get("/outer", stored(app, key=1))
        assert response.text == VIEWS["plain"](None)
        assert seen == [{"key": 1}, {"key": 1}]


CHANGES: dict[str, Act] = {
    "set": lambda session: session.update(key=2),
    "pop flash": lambda session: session.pop_flash(),
    "new token": lambda session: session.new_csrf_token(),
    "sign in": lambda session: session.sign_in("bob"),
    "end": lambda session: session.invalidate(),
    "deadline": lambda session: setattr(session, "deadline", session.deadline),
    "remember": lambda session: session.remember_me(False),
}


def test_a_change_after_our_tween_raises_and_changes_nothing(make_app: MakeApp, late: Late) -> None:
    """S10: each of them as the first thing that is done with the session."""
    changes = iter(CHANGES.values())
    raised: list[str] = []

    def attempt(session: Session) -> None:
        try:
            next(changes)(session)
        except SessionClosed as error:
            raised.append(type(error).__name__)
        assert session["key"] == 1
        assert session.peek_flash() == ["Saved."]

    app = looked(make_app, late, attempt)
    with app.manager.session() as session:
        session["key"] = 1
        session.flash("Saved.")
    before = app.rows()
    for _ in CHANGES:
        response = app.get("/plain", session.token)
        assert (response.status_code, cookies_of(response)) == (200, [])
    assert raised == ["SessionClosed"] * len(CHANGES)
    assert app.rows() == before


def test_a_first_look_in_a_streamed_body_comes_too_late(make_app: MakeApp) -> None:
    """S10: the headers are gone by then, and could not say that it depends on the cookie."""
    raised: list[SessionClosed] = []

    def view(request: Request) -> Response:
        session = request.session

        def body() -> Iterator[bytes]:
            try:
                len(session)
            except SessionClosed as error:
                raised.append(error)
            yield b"done"

        return Response(app_iter=body())

    app = make_app({"view": view})
    response = app.get("/view", stored(app, key=1))
    assert (response.text, len(raised)) == ("done", 1)
    assert "Vary" not in response.headers


class TestErrorPages:
    """What the page shows that tells of a save that failed."""

    @pytest.fixture
    def app(self, make_app: MakeApp, sqlite_url: str) -> Iterator[App]:
        """`/large` saves too much, `/locked` finds the database locked by somebody else."""
        path = sqlite_url.removeprefix("sqlite:///")
        holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

        def show(error: Exception, request: Request) -> Response:
            messages = request.session.pop_flash()
            status = 413 if isinstance(error, SessionTooLarge) else 503
            text = f"{messages} {request.session.get_csrf_token()}"
            return Response(text, status=status)

        def large(request: Request) -> None:
            request.session["key"] = "x" * 5000

        def locked(request: Request) -> None:
            request.session["key"] = 2
            holder.execute("BEGIN EXCLUSIVE")

        def configure(config: Configurator) -> None:
            config.add_exception_view(show, context=SessionTooLarge)
            config.add_exception_view(show, context=SessionUnavailable)

        with closing(holder):
            yield make_app(
                VIEWS | {"large": large, "locked": locked, "free": lambda r: holder.rollback()},
                configure=configure,
                max_size="4 KiB",
                statement_timeout="1s",
            )

    @pytest.mark.parametrize(("path", "status"), [("large", 413), ("locked", 503)])
    def test_they_show_the_messages_and_the_token(self, app: App, path: str, status: int) -> None:
        """S10, S7: and the next request has them still, since nothing was saved."""
        with app.manager.session() as session:
            session.flash("Hello.")
            csrf = session.get_csrf_token()
        before = app.rows()
        response = app.get(f"/{path}", session.token)
        app.get("/free")
        assert response.status_code == status
        assert response.text == f"['Hello.'] {csrf}"
        assert response.headers["Vary"] == "Cookie"
        assert cookies_of(response) == []
        assert app.rows() == before
        assert app.get("/peek", session.token).text == "['Hello.']"

    @pytest.mark.parametrize(("path", "status"), [("large", 413), ("locked", 503)])
    def test_they_are_shown_to_who_has_no_session_too(
        self, app: App, path: str, status: int
    ) -> None:
        """S10, S2: a token made for that page alone is stored nowhere."""
        response = app.get(f"/{path}")
        app.get("/free")
        assert response.status_code == status
        assert len(response.text) > len("[] ")
        assert cookies_of(response) == app.rows() == []

    def test_a_change_there_is_not_saved_after_all(self, make_app: MakeApp) -> None:
        """S10, S7: what could not be saved is not saved later with less in it."""

        def show(error: Exception, request: Request) -> Response:
            with suppress(SessionClosed):
                request.session["key"] = "shorter"
            return Response("too large", status=413)

        def large(request: Request) -> None:
            request.session["key"] = "x" * 5000

        app = make_app(
            {"large": large},
            configure=lambda config: config.add_exception_view(show, context=SessionTooLarge),
            max_size="4 KiB",
        )
        token = stored(app, key=1)
        assert app.get("/large", token).status_code == 413
        assert row_of(app, token).version == 1
        assert contents_of(app, token) == {"key": 1}
