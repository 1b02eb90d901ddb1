"""Rows whose data nobody can read."""

from myapp.sessions import (
    SessionManager,
    Status,
)
from myapp.sessions.core.state import Origin
from tests.sessions.session.helpers import (
    break_row,
    live_rows,
    loaded,
    row_of,
    stored,
)


class TestUnreadable:
    """A row that can't be decoded."""

    def test_it_is_an_empty_signed_out_session(self, manager: SessionManager) -> None:
        """L7: scs #269, Spring #529: an endless 500 elsewhere."""
        token = stored(manager, "ann", key=1)
        break_row(manager, token)
        with manager.session(token) as session:
            assert session == {}
            assert session.user_id is None
            assert session.peek_flash() == []
            assert session.new
            assert session.status == Status.UNMODIFIED
            assert session._state.loaded is not None
            assert session._state.loaded.origin is Origin.UNREADABLE
        assert row_of(manager, token).data == b"\xc1"

    def test_a_change_begins_another_and_leaves_the_row(self, manager: SessionManager) -> None:
        """L7: until it expires, so that somebody may look into it."""
        token = stored(manager, "ann", key=1)
        break_row(manager, token)
        with manager.session(token) as session:
            session["key"] = 2
        assert session.token != token
        assert loaded(manager, session.token) == {"key": 2}
        assert loaded(manager, session.token).user_id is None
        assert row_of(manager, token).data == b"\xc1"

    def test_it_can_be_ended(self, manager: SessionManager) -> None:
        """L7: by the user who is told that something is wrong."""
        token = stored(manager, "ann", key=1)
        break_row(manager, token)
        with manager.session(token) as session:
            session.invalidate()
        assert live_rows(manager) == 0
