"""The same user proving who they are again, and how a session began."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.security import remember

from myapp.sessions import Session, SessionInfo, SessionRenewed, SessionSecurityPolicy
from tests.sessions.app import App, Clock, cookies_of, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.meanwhile import (
    Act,
    contents_of,
    in_minutes,
    left_of,
    max_age_of,
    meanwhile,
    row_of,
)
from tests.sessions.views import Heard


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(make_app: MakeApp, clock: Clock, heard: Heard) -> App:
    return make_app({}, clock=clock, configure=heard, lifetime="8h", anonymous_lifetime="2h")


def signed_in(app: App, user_id: str = "ann", **how: Any) -> Session:
    """A stored session of a user, with a basket, a message and a CSRF token that forms hold."""
    with app.manager.session() as session:
        session.sign_in(user_id, **how)
        session["cart"] = [1]
        session.flash("Hello.")
    return session


def later(app: App, token: str) -> Session:
    """The session as the next request finds it."""
    session = app.manager.load(token)
    assert session is not None
    return session


def moment(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock() / 1000, UTC)


class TestTheSameUserAgain:
    """A renewal that says when it was: nothing else changes, so that open forms still work."""

    def test_only_the_token_is_new(self, app: App, clock: Clock, heard: Heard) -> None:
        """R9: CSRF token, data, messages, deadline, beginning and handle stay."""
        session = signed_in(app)
        before, csrf = row_of(app, session.token), session.csrf_token
        clock.forward(3600)
        heard.events.clear()
        with app.manager.session(session.token) as again:
            again.sign_in("ann")
            assert again.csrf_token == csrf
        after = row_of(app, again.token)
        assert after.digest != before.digest
        assert (after.handle, after.user_id) == (before.handle, "ann")
        assert (after.created_at, after.deadline) == (before.created_at, before.deadline)
        present = later(app, again.token)
        assert (present.csrf_token, present.copy()) == (csrf, {"cart": [1]})
        assert present.peek_flash() == ["Hello."]
        assert contents_of(app, session.token) is None
        (event,) = heard.events
        assert isinstance(event, SessionRenewed)
        assert event.signed_in

    def test_a_form_of_another_tab_still_works(self, make_app: MakeApp) -> None:
        """R9, S4: also one that made the CSRF token just now, and what it saved is kept."""

        def prove(request: Request) -> None:
            assert request.session.user_id == "ann"
            with meanwhile(request) as tab:
                tokens.append(tab.new_csrf_token())
                tab["cart"].append(2)
            request.session.sign_in("ann")

        tokens: list[str] = []
        app = make_app({"prove": prove})
        response = app.get("/prove", signed_in(app).token)
        present = later(app, token_of(response))
        assert [present.csrf_token] == tokens
        assert present.copy() == {"cart": [1, 2]}

    def test_the_cookie_has_what_is_left_and_the_kind_that_was_chosen(
        self, make_app: MakeApp, clock: Clock
    ) -> None:
        """R9, R5: the deadline of the row, though another request moved it meanwhile."""

        def prove(request: Request) -> None:
            len(request.session)
            with meanwhile(request) as tab:
                tab.deadline = in_minutes(served, 10)
            clock.forward(60)
            request.session.sign_in("ann")

        def again(request: Request) -> None:
            with meanwhile(request) as tab:
                tab.remember_me(False)
            request.session.sign_in("ann")

        served = make_app({"prove": prove, "again": again}, clock=clock)
        response = served.get("/prove", signed_in(served).token)
        assert max_age_of(response) == left_of(served, response) == 540
        response = served.get("/again", token_of(response))
        assert max_age_of(response) is None
        assert left_of(served, response) == 540

    def test_a_deadline_that_is_assigned_then_counts(self, app: App, clock: Clock) -> None:
        """R5, R9: by whoever wants the session to go on longer after a proof."""
        session = signed_in(app)
        clock.forward(3600)
        with app.manager.session(session.token) as again:
            again.sign_in("ann")
            again.deadline = in_minutes(app, 60)
        assert row_of(app, again.token).deadline == clock() + 3_600_000

    def test_a_renewal_asked_for_as_well_is_one(self, app: App, heard: Heard) -> None:
        """R9, R1: and a changed generation is the session's from here on (R7)."""
        session = signed_in(app, generation=b"old")
        csrf = session.csrf_token
        heard.events.clear()
        with app.manager.session(session.token) as again:
            again.sign_in("ann", generation=b"new")
            again.renew()
        present = later(app, again.token)
        assert (present.generation, present.csrf_token) == (b"new", csrf)
        assert heard.kinds() == [SessionRenewed]
        assert len(app.rows()) == 1

    def test_it_leaves_the_other_sessions_alone(self, make_app: MakeApp, clock: Clock) -> None:
        """R8, R9: and counts as no younger than it was, if there are too many."""
        app = make_app({}, clock=clock, max_per_user="2")
        first = signed_in(app)
        clock.forward(10)
        second = signed_in(app)
        clock.forward(10)
        with app.manager.session(first.token) as again:
            again.sign_in("ann")
        assert {i.handle for i in app.manager.of_user("ann")} == {first.handle, second.handle}
        clock.forward(10)
        third = signed_in(app)
        assert {i.handle for i in app.manager.of_user("ann")} == {second.handle, third.handle}


def anonymous(app: App) -> Session:
    with app.manager.session() as session:
        session.new_csrf_token()
        session["cart"] = [1]
    return session


class TestAnybodyElse:
    """A session begins anew with who signs in."""

    @pytest.mark.parametrize(
        ("begin", "act", "left"),
        [
            (anonymous, lambda s: s.sign_in("ann"), {"cart": [1]}),
            (lambda app: signed_in(app, "bob"), lambda s: s.sign_in("ann"), {}),
            (signed_in, lambda s: (s.sign_out(), s.sign_in("ann")), {}),
            (signed_in, lambda s: (s.sign_in("bob"), s.sign_in("ann")), {}),
        ],
        ids=["anonymous", "another user", "out and in", "another one in between"],
    )
    def test_everything_is_new(
        self,
        app: App,
        clock: Clock,
        begin: Callable[[App], Session],
        act: Act,
        left: dict[str, Any],
    ) -> None:
        """R4: token, CSRF token, handle, beginning and deadline; a user's data are gone."""
        session = begin(app)
        before, csrf = row_of(app, session.token), session.csrf_token
        clock.forward(3600)
        with app.manager.session(session.token) as mine:
            act(mine)
        after = row_of(app, mine.token)
        assert contents_of(app, mine.token) == left
        assert later(app, mine.token).csrf_token not in (None, csrf)
        assert after.handle != before.handle
        assert (after.created_at, after.deadline) == (clock(), clock() + 8 * 3_600_000)
        assert contents_of(app, session.token) is None

    def test_who_signs_in_twice_in_one_request_has_one_beginning(
        self, app: App, clock: Clock
    ) -> None:
        """R4, R9: a visitor's deadline and CSRF token do not come back by the second time."""
        session = anonymous(app)
        clock.forward(3600)
        with app.manager.session(session.token) as mine:
            mine.sign_in("ann")
            mine.sign_in("ann")
        after = row_of(app, mine.token)
        assert later(app, mine.token).csrf_token not in (None, session.csrf_token)
        assert (after.created_at, after.deadline) == (clock(), clock() + 8 * 3_600_000)

    def test_a_proof_that_finds_its_session_ended_starts_afresh(
        self, app: App, clock: Clock
    ) -> None:
        """R3, R4: the form was sent twice, or the user signed out in another tab meanwhile."""
        session = signed_in(app)
        csrf = session.csrf_token
        clock.forward(3600)
        with app.manager.session(session.token) as mine:
            mine.sign_in("ann")
            with app.manager.session(session.token) as tab:
                tab.sign_out()
        after = row_of(app, mine.token)
        assert contents_of(app, mine.token) == {}
        assert later(app, mine.token).csrf_token != csrf
        assert after.handle != session.handle
        assert (after.created_at, after.deadline) == (clock(), clock() + 8 * 3_600_000)


class TestHowItBegan:
    """When, when confirmed, and by which means: I16."""

    def test_it_is_known_and_kept_beside_the_dictionary(self, app: App, clock: Clock) -> None:
        """I16: over requests, changes and renewals, and gone with the user."""
        began = moment(clock)
        session = signed_in(app, method="passkey")
        clock.forward(60)
        with app.manager.session(session.token) as mine:
            mine.clear()
            mine.renew()
        clock.forward(60)
        with app.manager.session(mine.token) as mine:
            assert (mine.signed_in_at, mine.confirmed_at) == (began, began)
            assert mine.method == "passkey"
            assert mine == {}
            mine["more"] = 1
            mine.sign_out()
            assert [mine.signed_in_at, mine.confirmed_at, mine.method] == [None] * 3

    def test_the_same_user_again_moves_the_confirmation_alone(self, app: App, clock: Clock) -> None:
        """R9, I16: seen at once, by the next request, and where sessions are listed."""
        began = moment(clock)
        session = signed_in(app, method="password")
        clock.forward(3600)
        with app.manager.session(session.token) as again:
            again.sign_in("ann", method="password")
            assert (again.signed_in_at, again.confirmed_at) == (began, moment(clock))
        everywhere: list[Session | SessionInfo] = [later(app, again.token)]
        everywhere += app.manager.of_user("ann")
        for seen in everywhere:
            assert (seen.signed_in_at, seen.confirmed_at) == (began, moment(clock))
            assert seen.method == "password"

    def test_another_user_has_a_beginning_of_their_own(self, app: App, clock: Clock) -> None:
        """R4, I16: of the method before nothing is left, either."""
        session = signed_in(app, method="passkey")
        clock.forward(3600)
        with app.manager.session(session.token) as mine:
            mine.sign_in("bob")
        (info,) = app.manager.of_user("bob")
        assert info.signed_in_at == info.confirmed_at == moment(clock)
        assert info.method is None

    def test_a_visitor_has_none(self, app: App) -> None:
        """I16: neither in a request nor in a list."""
        session = anonymous(app)
        ((info, _),) = app.manager.iterate()
        everywhere: list[Session | SessionInfo] = [later(app, session.token), info]
        for seen in everywhere:
            assert (seen.signed_in_at, seen.confirmed_at, seen.method) == (None, None, None)

    def test_a_merge_brings_none_along(self, app: App, clock: Clock) -> None:
        """I4, I16: it is our session still, with our beginning and our proof."""
        began = moment(clock)
        ours = signed_in(app, method="password")
        clock.forward(60)
        theirs = signed_in(app, method="passkey")
        with app.manager.session(ours.token) as mine:
            assert mine.merge(theirs.token)
        (info,) = app.manager.of_user("ann")
        assert (info.signed_in_at, info.confirmed_at) == (began, began)
        assert info.method == "password"

    def test_a_change_of_another_request_does_not_take_it_back(
        self, make_app: MakeApp, clock: Clock
    ) -> None:
        """I16, S4: two requests at once, of which one saves what it loaded before the proof."""

        def view(request: Request) -> None:
            request.session["mine"] = 1
            with meanwhile(request) as other:
                other["theirs"] = 2

        app = make_app({"view": view}, clock=clock)
        token = signed_in(app, method="passkey").token
        clock.forward(60)
        app.get("/view", token)
        assert contents_of(app, token) == {"cart": [1], "mine": 1, "theirs": 2}
        (info,) = app.manager.of_user("ann")
        assert info.confirmed_at == datetime.fromtimestamp((clock() - 60_000) / 1000, UTC)
        assert info.method == "passkey"

    def test_remember_hands_the_method_on(self, make_app: MakeApp) -> None:
        """I16, I11: by keyword; what it does not know is refused as before."""

        def sign_in(request: Request) -> None:
            remember(request, "ann", method="password")

        def wrong(request: Request) -> None:
            remember(request, "ann", max_age=60)

        def configure(config: Configurator) -> None:
            config.set_security_policy(SessionSecurityPolicy())

        app = make_app({"in": sign_in, "wrong": wrong}, configure=configure)
        with pytest.raises(TypeError, match="max_age"):
            app.get("/wrong")
        token = token_of(app.get("/in"))
        assert later(app, token).method == "password"

    @pytest.mark.parametrize("name", ["signed_in_at", "confirmed_at", "method"])
    def test_a_look_at_it_is_a_look_at_the_session(self, make_app: MakeApp, name: str) -> None:
        """S8, S2: the page depends on the cookie; neither row nor cookie comes of it."""
        app = make_app({"view": lambda request: str(getattr(request.session, name))})
        response = app.get("/view")
        assert (response.text, response.headers["Vary"]) == ("None", "Cookie")
        assert cookies_of(response) == app.rows() == []
