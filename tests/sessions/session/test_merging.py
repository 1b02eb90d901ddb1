"""The data of another session taken over."""

from collections.abc import Callable

import pytest

from myapp.sessions import (
    Session,
    SessionError,
    SessionManager,
    Status,
)
from tests.sessions.app import Clock
from tests.sessions.session.helpers import (
    break_row,
    live_rows,
    loaded,
    row_of,
    stored,
)


class TestMerging:
    """Taking over another session."""

    def test_its_contents_come_over_and_it_ends(self, manager: SessionManager) -> None:
        """I4: its values win; our user and deadline stay."""
        ours = stored(manager, "ann", a=1, b=1)
        with manager.session() as session:
            session.update(b=2, c=2)
            session.flash("theirs")
        theirs = session.token
        deadline = loaded(manager, ours).deadline
        with manager.session(ours) as session:
            session.flash("ours")
            assert session.merge(theirs) is True
            assert session.status == Status.MODIFIED
            assert session == {"a": 1, "b": 2, "c": 2}
        merged = loaded(manager, ours)
        assert merged == {"a": 1, "b": 2, "c": 2}
        assert merged.pop_flash() == ["ours", "theirs"]
        assert (merged.user_id, merged.deadline) == ("ann", deadline)
        assert row_of(manager, theirs).ended == "merged"
        assert live_rows(manager) == 1

    def test_an_empty_one_ends_too(self, manager: SessionManager) -> None:
        """I4: there was such a session."""
        ours, theirs = stored(manager, a=1), stored(manager)
        with manager.session(ours) as session:
            assert session.merge(theirs) is True
        assert live_rows(manager) == 1

    def test_a_new_session_can_take_one_over(self, manager: SessionManager) -> None:
        """I4: also in the request that signs in."""
        theirs = stored(manager, cart=[1])
        with manager.session() as session:
            session.sign_in("ann")
            assert session.merge(theirs)
        assert loaded(manager, session.token) == {"cart": [1]}
        assert loaded(manager, session.token).user_id == "ann"
        assert live_rows(manager) == 1

    @pytest.mark.parametrize("token", ["", "x", "A" * 43, "é" * 43, "A" * 1000])
    def test_a_token_that_opens_nothing_merges_nothing(self, session: Session, token: str) -> None:
        """L3: malformed or unknown."""
        assert session.merge(token) is False
        assert session.status == Status.UNMODIFIED

    def test_neither_does_an_ended_or_expired_one(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """L4: nor an unreadable one."""
        expired = stored(manager, a=1)
        clock.forward(2 * 3600)
        ended, unreadable = stored(manager, a=1), stored(manager, a=1)
        with manager.session(ended) as session:
            session.invalidate()
        break_row(manager, unreadable)
        session = loaded(manager, stored(manager))
        for token in (expired, ended, unreadable):
            assert session.merge(token) is False
        assert session == {}

    def test_another_users_session_is_refused(self, manager: SessionManager) -> None:
        """R4: nothing of another user's data comes over."""
        bobs = stored(manager, "bob", secret=1)
        for ours in (stored(manager, "ann"), stored(manager)):
            session = loaded(manager, ours)
            with pytest.raises(SessionError, match="another user"):
                session.merge(bobs)
            assert session == {}
            assert session.status == Status.UNMODIFIED
        assert loaded(manager, bobs) == {"secret": 1}

    def test_a_session_of_the_same_user_is_taken(self, manager: SessionManager) -> None:
        """I4: two devices become one."""
        other = stored(manager, "ann", a=1)
        with manager.session(stored(manager, "ann")) as session:
            assert session.merge(other)
        assert loaded(manager, session.token) == {"a": 1}

    def test_merging_twice_is_merging_once(self, manager: SessionManager) -> None:
        """I4: no flash message is doubled."""
        with manager.session() as theirs:
            theirs.flash("once")
        with manager.session(stored(manager)) as session:
            session.merge(theirs.token)
            session.merge(theirs.token)
        assert loaded(manager, session.token).peek_flash() == ["once"]

    @pytest.mark.parametrize(
        "first",
        [lambda s: None, lambda s: s.renew(), lambda s: s.sign_in("ann")],
        ids=["as it is", "renewed", "signed in"],
    )
    def test_a_session_does_not_merge_itself(
        self, manager: SessionManager, first: Callable[[Session], None]
    ) -> None:
        """I4: also by the token that it had until just now."""
        with manager.session() as session:
            session.flash("once")
            session["removed"] = 1
        token = session.token
        with manager.session(token) as session:
            del session["removed"]
            first(session)
            assert session.merge(token) is False
        assert loaded(manager, session.token).peek_flash() == ["once"]
        assert "removed" not in loaded(manager, session.token)

    def test_a_session_that_was_changed_elsewhere_does_not_merge_itself(
        self, manager: SessionManager
    ) -> None:
        """I4, S4: it would end itself."""
        token = stored(manager, a=1)
        with manager.session(token) as session:
            session["b"] = 2
            with manager.session(token) as other:
                other["c"] = 3
            assert session.merge(token) is False
        assert loaded(manager, token) == {"a": 1, "b": 2, "c": 3}

    def test_what_was_merged_ends_though_the_session_is_ended_then(
        self, manager: SessionManager
    ) -> None:
        """I4: its contents are gone with ours, so it must not stay alive by itself."""
        theirs = stored(manager, a=1)
        with manager.session(stored(manager)) as session:
            assert session.merge(theirs)
            session.invalidate()
        assert manager.load(theirs) is None
        assert live_rows(manager) == 0
