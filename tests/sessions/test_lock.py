"""What a locked block did is stored once, told once, and only if it was held in time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pyramid.request import Request

from myapp.sessions import (
    ConflictMerged,
    Session,
    SessionEnded,
    SessionLost,
    SessionRenewed,
    get_manager,
)
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
    stored,
)
from tests.sessions.views import Heard

View = Callable[[Request], Any]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serving(make_app: MakeApp, clock: Clock, heard: Heard) -> Callable[..., App]:
    """An application of one view, whose clock stands still and whose events are heard."""

    def make(view: View, **settings: str) -> App:
        return make_app({"view": view}, clock=clock, configure=heard, **settings)

    return make


Serving = Callable[..., App]


class TestOnce:
    """The end of the request has nothing left to do."""

    def test_a_deadline_of_the_block_is_written_once(self, serving: Serving) -> None:
        """S13, S1: nothing was changed since, so the row is left alone, and its cookie sent."""

        def view(request: Request) -> None:
            with request.session.lock():
                request.session.deadline = in_minutes(app, 10)

        app = serving(view)
        token = stored(app, key=1)
        response = app.get("/view", token)
        assert row_of(app, token).version == 2
        assert max_age_of(response) == left_of(app, response) == 600

    def test_a_deadline_of_the_block_is_not_set_again_over_anothers(self, serving: Serving) -> None:
        """S13, R5: what another request says after the block is the later word."""

        def view(request: Request) -> None:
            with request.session.lock():
                request.session.deadline = in_minutes(app, 60)
            with meanwhile(request) as other:
                other.deadline = in_minutes(app, 10)
            request.session["after"] = 1

        app = serving(view)
        token = stored(app, key=1)
        response = app.get("/view", token)
        assert contents_of(app, token) == {"key": 1, "after": 1}
        assert max_age_of(response) == left_of(app, response) == 600

    def test_a_key_of_the_block_is_not_set_again_over_anothers(
        self, serving: Serving, heard: Heard
    ) -> None:
        """S13, S4: the later change of that key was the other's, and one conflict was merged."""

        def view(request: Request) -> None:
            with request.session.lock():
                request.session["key"] = "block"
                request.session.flash("Hello.")
            with meanwhile(request) as other:
                other["key"] = "other"
                assert other.pop_flash() == ["Hello."]
            request.session["after"] = 1

        app = serving(view)
        token = stored(app, key="before")
        app.get("/view", token)
        assert contents_of(app, token) == {"key": "other", "after": 1}
        with app.manager.session(token) as session:
            assert session.peek_flash() == []
        assert heard.kinds().count(ConflictMerged) == 1

    def test_a_merge_in_the_block_is_told_once(self, serving: Serving, heard: Heard) -> None:
        """S13, I4: and what the block took over is there, written by one statement."""

        def view(request: Request) -> None:
            with request.session.lock():
                assert request.session.merge(theirs)
                request.session["mine"] = 1

        app = serving(view)
        ours, theirs = stored(app, key=1), stored(app, taken=2)
        app.get("/view", ours)
        assert contents_of(app, ours) == {"key": 1, "mine": 1, "taken": 2}
        assert contents_of(app, theirs) is None
        assert [e.reason for e in heard.events if isinstance(e, SessionEnded)] == ["merged"]
        assert row_of(app, ours).version == 2

    def test_a_renewal_in_the_block_is_done_once(self, serving: Serving, heard: Heard) -> None:
        """S13, R1: with all that the block and the rest of the request changed."""

        def view(request: Request) -> None:
            with request.session.lock():
                request.session["cart"].append(2)
                request.session.renew()
            request.session["after"] = 1

        app = serving(view)
        old = stored(app, cart=[1])
        new = token_of(app.get("/view", old))
        assert contents_of(app, new) == {"cart": [1, 2], "after": 1}
        assert contents_of(app, old) is None
        assert heard.kinds().count(SessionRenewed) == 1
        assert len(app.rows()) == 1


class TestWhatWasTakenOut:
    """A list is the same list before, in and after the block."""

    @pytest.mark.parametrize(
        "reach",
        [
            lambda session: session["cart"],
            lambda session: session.get("dict")["list"],
            lambda session: session["lists"][0],
            lambda session: next(iter(session.values())),
        ],
        ids=["list", "list in a dict", "list in a list", "by a view of the values"],
    )
    def test_what_was_taken_out_before_is_saved_when_changed_inside(
        self, serving: Serving, reach: Callable[[Any], list[int]]
    ) -> None:
        """S13, S1: while another request's change of another key is kept as well."""

        def view(request: Request) -> None:
            taken = reach(request.session)
            with meanwhile(request) as other:
                other["theirs"] = 1
            with request.session.lock():
                taken.append(2)
                assert reach(request.session) == [1, 2]
            assert 2 in reach(get_manager(request.registry).load(token))

        app = serving(view)
        token = stored(app, cart=[1], dict={"list": [1]}, lists=[[1]])
        app.get("/view", token)
        present = contents_of(app, token)
        assert present is not None
        assert present["theirs"] == 1
        assert str(present).count("[1, 2]") == 1

    def test_what_was_taken_inside_is_saved_when_changed_after(self, serving: Serving) -> None:
        """S13, S1: the end of the request looks at it again; a list, a dict, and one in a list."""

        def view(request: Request) -> None:
            with request.session.lock() as session:
                cart, deep = session["cart"], session["dict"]["list"]
                fresh = session.setdefault("fresh", {})
                session["count"] = 1
            cart.append(2)
            deep.append({"a": 2})
            fresh["b"] = 3

        app = serving(view)
        token = stored(app, cart=[1], dict={"list": []})
        app.get("/view", token)
        assert contents_of(app, token) == {
            "cart": [1, 2],
            "dict": {"list": [{"a": 2}]},
            "fresh": {"b": 3},
            "count": 1,
        }

    def test_one_list_may_be_changed_before_inside_and_after(self, serving: Serving) -> None:
        """S13: each change is there once."""

        def view(request: Request) -> None:
            cart = request.session["cart"]
            cart.append("before")
            with request.session.lock():
                cart.append("inside")
            cart.append("after")

        app = serving(view)
        token = stored(app, cart=[])
        app.get("/view", token)
        assert contents_of(app, token) == {"cart": ["before", "inside", "after"]}

    def test_what_another_stored_meanwhile_is_what_the_block_finds(self, serving: Serving) -> None:
        """S13: a list that only was looked at before does not hide the fresh one."""

        def view(request: Request) -> None:
            assert request.session["cart"] == [1]
            with meanwhile(request) as other:
                other["cart"].append(2)
            with request.session.lock() as session:
                assert session["cart"] == [1, 2]
                session["cart"].append(3)

        app = serving(view)
        token = stored(app, cart=[1])
        app.get("/view", token)
        assert contents_of(app, token) == {"cart": [1, 2, 3]}


class TestTheCookieOfABlock:
    """It is sent with the response, and the session may have changed until then."""

    @pytest.mark.parametrize(
        "ask",
        [
            lambda session: session.remember_me(False),
            lambda session: setattr(session, "deadline", session.deadline),
        ],
        ids=["remember_me", "deadline"],
    )
    @pytest.mark.parametrize(
        "end", [lambda session: session.sign_out(), lambda session: session.renew()]
    )
    def test_none_is_sent_for_a_session_that_was_ended_meanwhile(
        self, serving: Serving, ask: Act, end: Act
    ) -> None:
        """S5, S13: signed out or renewed by another request, whose cookie the browser has."""

        def view(request: Request) -> None:
            with request.session.lock() as session:
                ask(session)
            with meanwhile(request) as other:
                end(other)

        app = serving(view)
        assert cookies_of(app.get("/view", stored(app, key=1))) == []

    def test_none_is_sent_for_a_session_that_expired_meanwhile(
        self, serving: Serving, clock: Clock
    ) -> None:
        """S5, L4: a request may take longer than its session has left."""

        def view(request: Request) -> None:
            with request.session.lock() as session:
                session.remember_me(False)
            clock.forward(600)

        app = serving(view)
        with app.manager.session() as session:
            session["key"] = 1
            session.deadline = in_minutes(app, 10)
        assert cookies_of(app.get("/view", session.token)) == []

    def test_its_max_age_is_what_the_row_says_at_the_end(
        self, serving: Serving, clock: Clock
    ) -> None:
        """R5, S13: nearer than when the block asked for it."""

        def view(request: Request) -> None:
            with request.session.lock() as session:
                session.remember_me(True)
            with meanwhile(request) as other:
                other.deadline = in_minutes(app, 10)
            clock.forward(60)

        app = serving(view)
        response = app.get("/view", token := stored(app, key=1))
        assert token_of(response) == token
        assert max_age_of(response) == left_of(app, response) == 540

    def test_it_goes_with_the_browser_if_that_was_said_after_the_block(
        self, serving: Serving
    ) -> None:
        """I5, S13: the row's word, not the block's."""

        def view(request: Request) -> None:
            with request.session.lock() as session:
                session.remember_me(True)
            with meanwhile(request) as other:
                other.remember_me(False)

        app = serving(view)
        assert max_age_of(app.get("/view", stored(app, key=1))) is None


class TestHeldTooLong:
    """Somebody else may have had the lock meanwhile: what the block did is void."""

    def test_nothing_of_the_block_is_stored_at_the_end(
        self, serving: Serving, clock: Clock
    ) -> None:
        """S13: though the view goes on; what it did before and does afterwards is stored."""

        def view(request: Request) -> None:
            request.session["before"] = 1
            with pytest.raises(SessionLost):
                hold_too_long(request.session, request.session["cart"])
            request.session["after"] = 1

        def hold_too_long(session: Session, cart: list[int]) -> None:
            with session.lock():
                session["key"] = "late"
                session.pop("gone")
                cart.append(2)
                session.flash("Late.")
                session.new_csrf_token()
                session.deadline = in_minutes(app, 10)
                session.remember_me(False)
                assert session.merge(theirs)
                clock.forward(31)

        app = serving(view)
        ours, theirs = stored(app, key=1, gone=1, cart=[1]), stored(app, taken=2)
        deadline = row_of(app, ours).deadline
        response = app.get("/view", ours)
        assert response.status_code == 200
        assert contents_of(app, ours) == {"key": 1, "gone": 1, "cart": [1], "before": 1, "after": 1}
        assert contents_of(app, theirs) == {"taken": 2}
        assert row_of(app, ours).deadline == deadline
        assert cookies_of(response) == []
        with app.manager.session(ours) as session:
            assert (session.peek_flash(), session.csrf_token) == ([], None)

    def test_what_the_next_holder_stored_is_not_overwritten(
        self, serving: Serving, clock: Clock
    ) -> None:
        """S13: a counter under the lock counts each block that succeeded, and no other."""

        def view(request: Request) -> None:
            with suppress(SessionLost), request.session.lock() as session:
                session["count"] += 1
                clock.forward(31)
                with meanwhile(request) as other, other.lock(0.05):
                    other["count"] += 10

        app = serving(view)
        token = stored(app, count=0)
        assert app.get("/view", token).status_code == 200
        assert contents_of(app, token) == {"count": 10}

    def test_nor_is_anything_stored_of_a_late_block_that_failed(
        self, serving: Serving, clock: Clock
    ) -> None:
        """S13: another error says no more of it than that error."""

        def view(request: Request) -> None:
            request.session["before"] = 1
            with suppress(KeyError, SessionLost), request.session.lock() as session:
                session["inside"] = session["cart"].append(2)
                clock.forward(31)
                raise KeyError

        app = serving(view)
        token = stored(app, cart=[1])
        assert app.get("/view", token).status_code == 200
        assert contents_of(app, token) == {"cart": [1], "before": 1}

    def test_a_late_renewal_is_void_as_well(self, serving: Serving, clock: Clock) -> None:
        """S13, R1: the old token still opens the session, and no other one does."""

        def view(request: Request) -> None:
            with suppress(SessionLost), request.session.lock() as session:
                session["key"] = "late"
                session.renew()
                clock.forward(31)

        app = serving(view)
        token = stored(app, key=1)
        assert cookies_of(app.get("/view", token)) == []
        assert contents_of(app, token) == {"key": 1}
        assert len(app.rows()) == 1

    def test_a_sign_out_in_a_late_block_is_carried_out(
        self, serving: Serving, clock: Clock
    ) -> None:
        """S6, S13: ending is attempted whatever else became of the request."""

        def view(request: Request) -> None:
            with suppress(SessionLost), request.session.lock() as session:
                session.sign_out()
                clock.forward(31)

        app = serving(view)
        app.get("/view", token := stored(app, key=1))
        assert contents_of(app, token) is None

    def test_a_block_of_almost_thirty_seconds_is_saved(
        self, serving: Serving, clock: Clock
    ) -> None:
        """S13: also if others touched the session meanwhile, which is no conflict."""

        def view(request: Request) -> None:
            with request.session.lock() as session:
                session["inside"] = 1
                clock.forward(29)
                with meanwhile(request) as other:
                    len(other)

        app = serving(view, idle_timeout="10m", touch_interval="10s")
        token = stored(app, key=1)
        app.get("/view", token)
        assert contents_of(app, token) == {"key": 1, "inside": 1}
        assert row_of(app, token).version == 2
