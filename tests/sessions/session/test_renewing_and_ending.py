"""A new token, and the end."""

from collections.abc import Callable

import pytest

from myapp.sessions import (
    Session,
    SessionManager,
    Status,
)
from myapp.sessions.core.token import is_token
from tests.sessions.app import Clock
from tests.sessions.session.helpers import (
    HOUR,
    live_rows,
    loaded,
    row_of,
    stored,
)


class TestRenewing:
    """A new token for the same session."""

    def test_the_data_live_on_under_a_new_token(self, manager: SessionManager) -> None:
        """R1: user, handle, beginning and deadline as well; the old token is a marker."""
        token = stored(manager, "ann", key=1)
        old = row_of(manager, token)
        with manager.session(token) as session:
            session.flash("message")
            session.renew()
            assert session.status == Status.MODIFIED
            assert session.token != token
            assert is_token(session.token)
        new = row_of(manager, session.token)
        assert (new.user_id, new.handle, new.created_at, new.deadline) == (
            old.user_id,
            old.handle,
            old.created_at,
            old.deadline,
        )
        assert loaded(manager, session.token).peek_flash() == ["message"]
        assert loaded(manager, session.token) == {"key": 1}
        marker = row_of(manager, token)
        assert (marker.ended, marker.user_id, marker.handle) == ("renewed", None, None)
        assert manager.load(token) is None
        assert live_rows(manager) == 1

    def test_each_call_makes_another_token(self, session: Session) -> None:
        """R1: and the last one counts."""
        seen = set()
        for _ in range(3):
            session.renew()
            seen.add(session.token)
            assert session.token in seen
        assert len(seen) == 3

    def test_a_change_that_was_under_way_is_not_lost_by_a_renewal(
        self, manager: SessionManager
    ) -> None:
        """R1, S4: rotation undone by a parallel save (Jetty #2671): neither undone nor losing."""
        token = stored(manager, key=1)
        with manager.session(token) as renewing, manager.session(token) as other:
            other["other"] = 2
            renewing.renew()
        assert loaded(manager, renewing.token) == {"key": 1, "other": 2}
        assert manager.load(token) is None

    def test_a_save_that_comes_after_it_changes_nothing(self, manager: SessionManager) -> None:
        """R3: the old token can't bring the old session back."""
        token = stored(manager, key=1)
        with manager.session(token) as late:
            late["late"] = 2
            with manager.session(token) as session:
                session.renew()
        assert manager.load(token) is None
        assert loaded(manager, session.token) == {"key": 1}
        assert live_rows(manager) == 1


class TestEnding:
    """invalidate and sign_out"""

    @pytest.mark.parametrize("end", [Session.invalidate, Session.sign_out])
    def test_nothing_is_left(self, manager: SessionManager, end: Callable[[Session], None]) -> None:
        """R2: neither in the session nor in the store, but for the marker."""
        token = stored(manager, "ann", key=1)
        with manager.session(token) as session:
            handle = session.handle
            session.flash("message")
            end(session)
            assert session.status == Status.ENDED
            assert session == {}
            assert session.peek_flash() == []
            assert session.user_id is None
            assert session.generation is None
            assert session.new
            assert session.token != token
            assert session.handle != handle
        assert manager.load(token) is None
        assert live_rows(manager) == 0

    @pytest.mark.parametrize(
        ("end", "reason"),
        [(Session.invalidate, "invalidated"), (Session.sign_out, "signed_out")],
    )
    def test_the_marker_says_why(
        self, manager: SessionManager, end: Callable[[Session], None], reason: str
    ) -> None:
        """R3: for a minute, with the CSRF token, and nothing else."""
        token = stored(manager, "ann", key="value")
        csrf = loaded(manager, token).get_csrf_token()
        with manager.session(token) as session:
            end(session)
        marker = row_of(manager, token)
        assert (marker.ended, marker.user_id, marker.generation) == (reason, None, None)
        assert manager.kind.codec.decode(marker.data).csrf == csrf
        assert b"value" not in marker.data
        assert marker.expires_at == manager.kind.clock() + 60_000

    def test_what_is_set_afterwards_begins_a_new_session(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """R2: with a token, a handle, a beginning and a deadline of its own."""
        token = stored(manager, "ann", key=1)
        old = row_of(manager, token)
        clock.forward(60)
        with manager.session(token) as session:
            session.invalidate()
            session["after"] = 1
            assert session.status == Status.ENDED
        assert loaded(manager, session.token) == {"after": 1}
        new = row_of(manager, session.token)
        assert (new.user_id, new.created_at) == (None, clock.now)
        assert new.deadline == clock.now + 2 * 3_600_000
        assert new.handle != old.handle
        assert manager.load(token) is None

    def test_a_deadline_and_a_renewal_of_before_are_forgotten(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """R2: they were those of the session that ended."""
        with manager.session(stored(manager)) as session:
            session.deadline += 100 * HOUR
            session.renew()
            session.invalidate()
            session["after"] = 1
        assert row_of(manager, session.token).deadline == clock.now + 2 * 3_600_000

    def test_ending_twice_is_ending(self, manager: SessionManager) -> None:
        """R2: a new one is then not begun."""
        with manager.session(stored(manager)) as session:
            session.invalidate()
            session["between"] = 1
            session.invalidate()
        assert live_rows(manager) == 0
