"""At most so many sessions of a user, whatever the clocks of the machines say."""

from collections.abc import Callable

import pytest

from myapp.sessions import SessionEnded
from tests.sessions.app import App, Clock, create_table, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.meanwhile import contents_of
from tests.sessions.views import VIEWS, Heard

Machines = Callable[..., tuple[App, App]]


@pytest.fixture
def machines(database_url: str, make_app: MakeApp, heard: Heard) -> Machines:
    """Two applications on one database; the clock of the first is three seconds ahead."""
    create_table(database_url)

    def make(limit: int, **settings: str) -> tuple[App, App]:
        ahead, behind = (
            make_app(
                VIEWS,
                url=database_url,
                clock=Clock(1_800_000_000_000 + seconds * 1000),
                configure=heard,
                max_per_user=str(limit),
                **settings,
            )
            for seconds in (3, 0)
        )
        return ahead, behind

    return make


def test_the_sign_in_that_just_succeeded_stays(machines: Machines, heard: Heard) -> None:
    """R8: on the machine whose clock is behind; the older one ends, and that is told."""
    ahead, behind = machines(1)
    older = token_of(ahead.get("/sign_in"))
    newer = token_of(behind.get("/sign_in"))
    assert behind.get("/who", newer).text == ahead.get("/who", newer).text == "ann"
    assert behind.get("/who", older).text == "nobody"
    reasons = [event.reason for event in heard.events if isinstance(event, SessionEnded)]
    assert reasons == ["limit"]
    newest = token_of(ahead.get("/sign_in"))
    assert [ahead.get("/who", token).text for token in (newer, newest)] == ["nobody", "ann"]


def test_many_sign_ins_by_turns_end_in_their_order(machines: Machines) -> None:
    """R8: with more than one that may stay, and more of them behind than ahead."""
    ahead, behind = machines(2)
    tokens = []
    for machine in (ahead, behind, behind, ahead, behind, behind):
        tokens.append(token_of(machine.get("/sign_in")))
        live = [behind.get("/who", token).text for token in tokens]
        assert live == (["nobody"] * (len(tokens) - 2) + ["ann"] * 2)[-len(tokens) :]


def test_one_that_was_anonymous_before_is_as_new(machines: Machines) -> None:
    """R8, R4: a sign-in counts from the sign-in, not from the visitor's first page."""
    ahead, behind = machines(1)
    visitor = token_of(behind.get("/set"))
    older = token_of(ahead.get("/sign_in"))
    newer = token_of(behind.get("/sign_in", visitor))
    assert contents_of(behind, newer) == {"key": "value", "cart": [1]}
    assert contents_of(behind, older) is None


def test_a_proof_of_identity_ends_nothing(machines: Machines, heard: Heard) -> None:
    """R8, R9: on whichever machine; the session it renews is the one that counts."""
    ahead, behind = machines(1)
    token = token_of(ahead.get("/sign_in"))
    for machine in (behind, ahead, behind):
        token = token_of(machine.get("/sign_in", token))
        assert machine.get("/who", token).text == "ann"
    assert not [event for event in heard.events if isinstance(event, SessionEnded)]


def test_another_users_sessions_have_no_part_in_it(machines: Machines) -> None:
    """R8: nor do sessions that ended, even if they began later by their clock."""
    ahead, behind = machines(1)
    with ahead.manager.session() as bobs:
        bobs.sign_in("bob")
    ahead.get("/sign_out", token_of(ahead.get("/sign_in")))
    mine = token_of(behind.get("/sign_in"))
    assert behind.get("/who", mine).text == "ann"
    assert ahead.manager.load(bobs.token) is not None


def test_the_list_is_in_the_order_of_signing_in(machines: Machines) -> None:
    """R8, I16: a sign-in's moment is later than any of the user's before it."""
    ahead, behind = machines(3)
    handles = []
    for machine in (ahead, behind, behind):
        with machine.manager.session() as session:
            session.sign_in("ann")
        handles.append(session.handle)
    began = {info.handle: info.signed_in_at for info in ahead.manager.of_user("ann")}
    moments = [moment for handle in handles if (moment := began[handle]) is not None]
    assert len(moments) == len(handles)
    assert moments == sorted(set(moments))
