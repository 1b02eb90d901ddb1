"""The cookie says what the row says, whatever another request made of the row meanwhile."""

from collections.abc import Callable

import pytest
from pyramid.request import Request

from myapp.sessions import Session
from tests.sessions.app import App, Clock, cookies_of, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.meanwhile import (
    Act,
    in_minutes,
    left_of,
    max_age_of,
    meanwhile,
    row_of,
    stored,
)

Making = Callable[[Act, Act], App]


def renew(session: Session) -> None:
    session.renew()


def keep(session: Session) -> None:
    session.remember_me(True)


def keep_and_renew(session: Session) -> None:
    session.remember_me(True)
    session.renew()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answering(make_app: MakeApp, clock: Clock) -> Making:
    """An application with one view that acts, once another request has acted in between."""

    def make(act: Act, other: Act, **settings: str) -> App:
        def view(request: Request) -> None:
            len(request.session)
            with meanwhile(request) as theirs:
                other(theirs)
            act(request.session)

        return make_app({"view": view}, clock=clock, **settings)

    return make


@pytest.mark.parametrize(
    ("act", "minutes"), [(renew, 10), (keep, 10), (keep_and_renew, 10), (renew, 60 * 24 * 20)]
)
def test_max_age_follows_a_deadline_that_was_moved_meanwhile(
    answering: Making, act: Act, minutes: int
) -> None:
    """R5: nearer or further away, the browser keeps the cookie as long as the row lives."""

    def move(session: Session) -> None:
        session.deadline = in_minutes(app, minutes)

    app = answering(act, move)
    response = app.get("/view", stored(app, key=1))
    assert max_age_of(response) == left_of(app, response) == minutes * 60


def test_max_age_is_what_is_left_when_a_slow_request_ends(answering: Making, clock: Clock) -> None:
    """R5: counted from the save, with the deadline that the row has by then."""

    def move(session: Session) -> None:
        session.deadline = in_minutes(app, 10)

    def renew_late(session: Session) -> None:
        clock.forward(240)
        session.renew()

    app = answering(renew_late, move)
    response = app.get("/view", stored(app, key=1))
    assert max_age_of(response) == left_of(app, response) == 360


def test_the_later_of_two_deadlines_stands_in_row_and_cookie(answering: Making) -> None:
    """R5, S4: of two assignments at once the later save wins, for the browser as well."""

    def mine(session: Session) -> None:
        session.deadline = in_minutes(app, 30)
        session["key"] = 2

    def theirs(session: Session) -> None:
        session.deadline = in_minutes(app, 10)
        session["key"] = 3

    app = answering(mine, theirs)
    response = app.get("/view", token := stored(app, key=1))
    assert token_of(response) == token
    assert max_age_of(response) == left_of(app, response) == 1800


@pytest.mark.parametrize("remember", [True, False])
def test_a_renewal_sends_the_kind_of_cookie_that_was_chosen_meanwhile(
    make_app: MakeApp, remember: bool
) -> None:
    """R5, I5: `remember_me` in another tab is kept by the row, and so by the new cookie."""

    def view(request: Request) -> None:
        len(request.session)
        with meanwhile(request) as theirs:
            theirs.remember_me(remember)
        request.session.renew()

    # The setting says the opposite, so that only the row can be what the cookie follows.
    app = make_app({"view": view, "renew": lambda request: request.session.renew()},
                   cookie_persist=str(not remember))  # fmt: skip
    response = app.get("/view", stored(app, key=1))
    assert (max_age_of(response) is not None) is remember
    again = app.get("/renew", token_of(response))
    assert (max_age_of(again) is not None) is remember


def test_a_deadline_sends_the_kind_of_cookie_that_was_chosen_meanwhile(
    answering: Making,
) -> None:
    """R5, I5: also where this request asked for another Max-Age, and no new token."""

    def mine(session: Session) -> None:
        session.deadline = in_minutes(app, 30)

    app = answering(mine, lambda session: session.remember_me(False))
    assert max_age_of(app.get("/view", stored(app, key=1))) is None


def test_a_touch_meanwhile_changes_nothing_of_that(make_app: MakeApp, clock: Clock) -> None:
    """R5, S9: a row that was touched and moved by others is still followed."""

    def view(request: Request) -> None:
        len(request.session)
        clock.forward(120)
        with meanwhile(request) as theirs:
            len(theirs)
        with meanwhile(request) as theirs:
            theirs.deadline = in_minutes(app, 10)
        request.session.remember_me(True)

    app = make_app({"view": view}, clock=clock, idle_timeout="1h", touch_interval="1m")
    response = app.get("/view", token := stored(app, key=1))
    assert row_of(app, token).seen_at == clock()
    assert max_age_of(response) == left_of(app, response) == 600


def test_what_sends_no_cookie_still_sends_none(answering: Making, clock: Clock) -> None:
    """S8, R5: whoever moved the deadline has told the browser; another answer need not."""

    def move(session: Session) -> None:
        session.deadline = in_minutes(app, 10)

    app = answering(lambda session: session.update(more=1), move)
    assert cookies_of(app.get("/view", token := stored(app, key=1))) == []
    assert row_of(app, token).deadline == clock() + 600_000
