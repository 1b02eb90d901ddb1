"""Taking over another session that others use, save, end or merge at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pyramid.request import Request

from myapp.sessions import ChangeDropped, ConflictMerged, Session, SessionEnded
from myapp.sessions.testing.contract import at_once
from tests.sessions.app import App, create_table
from tests.sessions.conftest import MakeApp
from tests.sessions.meanwhile import Act, contents_of, row_of, stored
from tests.sessions.views import Heard


@pytest.fixture
def app(make_app: MakeApp, heard: Heard) -> App:
    return make_app({}, configure=heard)


def reasons(heard: Heard) -> list[str]:
    """Why sessions ended, in the order in which it was told."""
    return [event.reason for event in heard.events if isinstance(event, SessionEnded)]


class TestAChangeOfTheOtherOne:
    """What is stored of it when we save is what comes over."""

    def test_what_it_became_meanwhile_is_taken(self, app: App, heard: Heard) -> None:
        """I4, S4: changed, added, removed and nested keys; what we changed since is ours."""
        ours = stored(app, mine=1, both="ours", gone="ours")
        theirs = stored(app, cart=[1], both="theirs", gone="theirs", last=0)
        with app.manager.session(ours) as session:
            assert session.merge(theirs)
            assert session["gone"] == "theirs"
            session["last"] = "ours, since"
            with app.manager.session(theirs) as other:
                other["cart"].append(2)
                other["both"] = "theirs, since"
                other["added"] = other["last"] = 3
                del other["gone"]
        assert contents_of(app, ours) == {
            "mine": 1,
            "both": "theirs, since",
            "gone": "ours",
            "cart": [1, 2],
            "added": 3,
            "last": "ours, since",
        }
        assert contents_of(app, theirs) is None
        assert reasons(heard) == ["merged"]

    def test_no_message_of_either_vanishes_or_is_doubled(self, app: App) -> None:
        """I4, S4: one is shown by the other session meanwhile, and one is new to it."""
        with app.manager.session() as session:
            session.flash("ours")
        with app.manager.session() as other:
            other.flash("theirs")
        with app.manager.session(session.token) as mine:
            assert mine.merge(other.token)
            with app.manager.session(other.token) as shown:
                assert shown.pop_flash() == ["theirs"]
                shown.flash("theirs, since")
        with app.manager.session(mine.token) as present:
            assert present.peek_flash() == ["ours", "theirs, since"]

    def test_a_new_session_takes_it_as_well(self, app: App, heard: Heard) -> None:
        """I4: where there is no row of our own to be guarded by a version."""
        theirs = stored(app, key=1)
        with app.manager.session() as session:
            assert session.merge(theirs)
            with app.manager.session(theirs) as other:
                other["key"] = 2
        assert contents_of(app, session.token) == {"key": 2}
        assert contents_of(app, theirs) is None
        assert reasons(heard) == ["merged"]

    @pytest.mark.parametrize(
        "also", [lambda s: s.sign_in("ann"), lambda s: s.renew()], ids=["sign_in", "renew"]
    )
    def test_a_new_token_takes_it_as_well(self, app: App, heard: Heard, also: Act) -> None:
        """I4, R4: a basket from before is brought along by the request that signs in."""
        ours, theirs = stored(app, mine=1), stored(app, cart=[1])
        with app.manager.session(ours) as session:
            assert session.merge(theirs)
            also(session)
            with app.manager.session(theirs) as other:
                other["cart"].append(2)
        assert contents_of(app, session.token) == {"mine": 1, "cart": [1, 2]}
        assert contents_of(app, ours) is contents_of(app, theirs) is None
        assert reasons(heard) == ["merged"]

    def test_so_does_one_whose_own_row_was_changed_too(self, app: App, heard: Heard) -> None:
        """I4, S4: three requests, four changes, none lost; the conflict is told once."""
        ours, theirs = stored(app, mine=1), stored(app, cart=[1])
        with app.manager.session(ours) as session:
            session["here"] = 1
            assert session.merge(theirs)
            with app.manager.session(ours) as elsewhere:
                elsewhere["there"] = 2
            with app.manager.session(theirs) as other:
                other["cart"].append(2)
        assert contents_of(app, ours) == {"mine": 1, "here": 1, "there": 2, "cart": [1, 2]}
        assert reasons(heard) == ["merged"]
        assert heard.kinds().count(ConflictMerged) == 1

    def test_merging_it_twice_takes_it_once(self, app: App) -> None:
        """I4: also if it was changed in between; what we changed since is not undone."""
        ours = stored(app, mine=1)
        with app.manager.session() as other:
            other["key"] = "theirs"
            other.flash("Hello.")
        with app.manager.session(ours) as session:
            assert session.merge(other.token)
            session["key"] = "ours, since"
            with app.manager.session(other.token) as again:
                again["key"] = "theirs, since"
                again["more"] = 2
            assert not session.merge(other.token)
        assert contents_of(app, ours) == {"mine": 1, "key": "ours, since", "more": 2}
        with app.manager.session(ours) as session:
            assert session.peek_flash() == ["Hello."]

    def test_within_a_lock_it_is_taken_at_the_end_of_the_block(self, app: App) -> None:
        """I4, S13: as it is then; it ends there, and what we change afterwards is saved."""
        ours, theirs = stored(app, mine=1), stored(app, cart=[1])
        with app.manager.session(ours) as session:
            with session.lock():
                assert session.merge(theirs)
                with app.manager.session(theirs) as other:
                    other["cart"].append(2)
            assert contents_of(app, theirs) is None
            session["cart"].append(3)
        assert contents_of(app, ours) == {"mine": 1, "cart": [1, 2, 3]}

    def test_of_two_sessions_each_comes_as_it_is_then(self, app: App, heard: Heard) -> None:
        """I4: on a key of both, the one merged last wins, whichever was changed last."""
        ours, first, second = stored(app, c=0), stored(app, a=1, both=1), stored(app, b=1, both=2)
        with app.manager.session(ours) as session:
            assert session.merge(first)
            assert session.merge(second)
            with app.manager.session(first) as other:
                other.update(a=11, both=11)
        assert contents_of(app, ours) == {"a": 11, "b": 1, "both": 2, "c": 0}
        assert reasons(heard) in (["merged"], ["merged", "merged"])


class TestTheEndOfTheOtherOne:
    """What was ended is gone, and comes back by nobody's save."""

    @pytest.mark.parametrize(
        "end",
        [
            lambda other: other.sign_out(),
            lambda other: other.renew(),
            lambda other: other.sign_in("bob"),
        ],
        ids=["signed out", "renewed", "signed in"],
    )
    def test_nothing_of_it_is_taken(self, app: App, heard: Heard, end: Act) -> None:
        """I4, S3, R4: what our session had under its keys is there again, and our changes."""
        ours = stored(app, mine=1, both=["ours"])
        theirs = stored(app, secret=1, both="theirs", changed=1, cart=[1])
        with app.manager.session(theirs) as session:
            session.flash("theirs")
        with app.manager.session(ours) as session:
            session["before"] = 1
            assert session.merge(theirs)
            session["changed"] = "ours, since"
            session["cart"].append(2)
            with app.manager.session(theirs) as other:
                end(other)
        kept = {"mine": 1, "both": ["ours"], "before": 1, "changed": "ours, since", "cart": [1, 2]}
        assert contents_of(app, ours) == kept
        with app.manager.session(ours) as session:
            assert session.peek_flash() == []
        assert "merged" not in reasons(heard)
        if other.status != "ended":
            # It lives on under another token, with all it had.
            assert contents_of(app, other.token) == {
                "secret": 1, "both": "theirs", "changed": 1, "cart": [1],
            }  # fmt: skip

    def test_a_new_session_takes_nothing_of_it_either(self, app: App) -> None:
        """I4, S2: and being empty then, makes no row."""
        theirs = stored(app, key=1)
        with app.manager.session() as session:
            assert session.merge(theirs)
            with app.manager.session(theirs) as other:
                other.invalidate()
        assert app.rows() == []

    def test_nor_does_who_signs_in(self, app: App, heard: Heard) -> None:
        """I4, R4: a sign-in goes on, without what was ended."""
        ours, theirs = stored(app, mine=1), stored(app, secret=1)
        with app.manager.session(ours) as session:
            assert session.merge(theirs)
            session.sign_in("ann")
            with app.manager.session(theirs) as other:
                other.sign_out()
        assert contents_of(app, session.token) == {"mine": 1}
        assert [info.user_id for info in app.manager.of_user("ann")] == ["ann"]
        assert "merged" not in reasons(heard)

    def test_if_ours_is_ended_meanwhile_theirs_lives_on(self, app: App, heard: Heard) -> None:
        """I4, S5: our change is dropped, and an ending of the other would lose its data."""
        ours, theirs = stored(app, mine=1), stored(app, key=1)
        with app.manager.session(ours) as session:
            assert session.merge(theirs)
            with app.manager.session(ours) as other:
                other.invalidate()
        assert contents_of(app, theirs) == {"key": 1}
        assert heard.kinds().count(ChangeDropped) == 1
        assert reasons(heard) == ["invalidated"]


class TestEndingAfterwards:
    """Whoever merges and then ends has ended both."""

    @pytest.mark.parametrize(
        ("end", "reason"),
        [(lambda s: s.invalidate(), "invalidated"), (lambda s: s.sign_out(), "signed_out")],
    )
    def test_both_end_and_both_are_told(
        self, app: App, heard: Heard, end: Act, reason: str
    ) -> None:
        """I4, R2, I12: the absorbed one with a reason of its own."""
        ours, theirs = stored(app, mine=1), stored(app, key=1)
        with app.manager.session(ours) as session:
            assert session.merge(theirs)
            end(session)
        assert app.rows() == []
        assert sorted(reasons(heard)) == sorted(["merged", reason])

    def test_also_where_a_new_one_begins(self, app: App, heard: Heard) -> None:
        """I4, R2: which has nothing of either."""
        ours, theirs = stored(app, mine=1), stored(app, key=1)
        with app.manager.session(ours) as session:
            assert session.merge(theirs)
            session.invalidate()
            session["new"] = 1
        assert contents_of(app, session.token) == {"new": 1}
        assert len(app.rows()) == 1
        assert sorted(reasons(heard)) == ["invalidated", "merged"]

    def test_also_where_there_was_no_own_one(self, app: App, heard: Heard) -> None:
        """I4, R2: a request without a cookie that took one over."""
        theirs = stored(app, key=1)
        with app.manager.session() as session:
            assert session.merge(theirs)
            session.invalidate()
        assert app.rows() == []
        assert reasons(heard).count("merged") == 1

    def test_what_was_ended_elsewhere_already_is_not_told_again(
        self, app: App, heard: Heard
    ) -> None:
        """I12: an event tells of something that was done."""
        ours, theirs = stored(app, mine=1), stored(app, key=1)
        with app.manager.session(ours) as session:
            assert session.merge(theirs)
            session.invalidate()
            with app.manager.session(theirs) as other:
                other.sign_out()
        assert sorted(reasons(heard)) == ["invalidated", "signed_out"]

    def test_signing_in_as_another_user_ends_it_too(self, app: App, heard: Heard) -> None:
        """I4, R4: nothing of what ann had or took over is bob's."""
        with app.manager.session() as session:
            session.sign_in("ann")
            session["mine"] = 1
        theirs = stored(app, key=1)
        with app.manager.session(session.token) as session:
            assert session.merge(theirs)
            session.sign_in("bob")
            with app.manager.session(theirs) as other:
                other["key"] = 2
        assert contents_of(app, session.token) == {}
        assert contents_of(app, theirs) is None
        assert reasons(heard).count("merged") == 1


def test_an_anonymous_session_brings_a_user_nothing_but_contents(app: App) -> None:
    """I4, R5: user, handle, deadline, CSRF token and cookie of our own stay, as it changes."""
    with app.manager.session() as session:
        session.sign_in("ann")
        csrf = session.csrf_token
    before = row_of(app, session.token)
    with app.manager.session() as anonymous:
        anonymous["cart"] = [1]
        anonymous.remember_me(False)
        anonymous.new_csrf_token()
    with app.manager.session(session.token) as mine:
        assert mine.merge(anonymous.token)
        with app.manager.session(anonymous.token) as other:
            other["cart"].append(2)
            other.new_csrf_token()
            other.deadline = mine.deadline
    after = row_of(app, session.token)
    with app.manager.session(session.token) as present:
        assert (present["cart"], present.csrf_token) == ([1, 2], csrf)
    assert (after.user_id, after.handle, after.deadline) == (
        "ann", before.handle, before.deadline,
    )  # fmt: skip
    assert len(app.rows()) == 1


def test_two_that_merge_each_other_become_one(
    database_url: str, make_app: MakeApp, heard: Heard
) -> None:
    """I4: at once, on every database: one wins, nothing is lost, and no answer is an error."""
    create_table(database_url)
    barrier = threading.Barrier(2)

    def merging(other: Callable[[], str]) -> Callable[[Request], Any]:
        def view(request: Request) -> None:
            session: Session = request.session
            len(session)
            barrier.wait(timeout=20)
            session.merge(other())
            barrier.wait(timeout=20)

        return view

    tokens = {"a": "", "b": ""}
    app = make_app(
        {"a": merging(lambda: tokens["b"]), "b": merging(lambda: tokens["a"])},
        url=database_url,
        configure=heard,
    )
    for _ in range(10):
        tokens.update(a=stored(app, a=[1]), b=stored(app, b=[2]))
        heard.events.clear()
        answers = at_once(
            lambda: app.get("/a", tokens["a"]).status_code,
            lambda: app.get("/b", tokens["b"]).status_code,
        )
        assert answers == [200, 200]
        left = [contents_of(app, token) for token in tokens.values()]
        assert [contents for contents in left if contents is not None] == [{"a": [1], "b": [2]}]
        assert reasons(heard) == ["merged"]
