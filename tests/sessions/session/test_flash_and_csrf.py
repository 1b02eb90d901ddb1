"""Messages for the next page, and the token of forms."""

import re
from typing import Any

import pytest

from myapp.sessions import (
    NotStorable,
    Session,
    SessionManager,
    Status,
)
from tests.sessions.session.helpers import (
    loaded,
    stored,
)


class TestFlash:
    """Messages for a later page."""

    def test_messages_come_out_in_order_and_once(self, manager: SessionManager) -> None:
        """I1: over requests; peeking leaves them."""
        with manager.session() as session:
            session.flash("one")
            session.flash({"two": [2]})
        with manager.session(session.token) as session:
            session.flash("three")
            assert session.peek_flash() == ["one", {"two": [2]}, "three"]
        with manager.session(session.token) as session:
            assert session.pop_flash() == ["one", {"two": [2]}, "three"]
            assert session.pop_flash() == session.peek_flash() == []
        assert loaded(manager, session.token).peek_flash() == []

    def test_queues_are_apart(self, session: Session) -> None:
        """I1: the empty name is one of them."""
        session.flash("plain")
        session.flash("bad", "error")
        session.flash("worse", queue="error")
        assert session.peek_flash("none") == []
        assert session.pop_flash("error") == ["bad", "worse"]
        assert session.peek_flash() == ["plain"]

    def test_flash_messages_are_no_keys(self, session: Session) -> None:
        """I1: nor is the CSRF token, and `clear` leaves both."""
        session.flash("plain")
        token = session.get_csrf_token()
        assert set(session) == {"key", "cart"}
        session.clear()
        assert session.peek_flash() == ["plain"]
        assert session.get_csrf_token() == token

    def test_duplicates_are_allowed_unless_they_are_not(self, session: Session) -> None:
        """I1: in one queue; another one is another."""
        for _ in range(2):
            session.flash("always")
            session.flash("once", allow_duplicate=False)
            session.flash("once", "error", allow_duplicate=False)
        assert session.peek_flash() == ["always", "once", "always"]
        assert session.peek_flash("error") == ["once"]

    @pytest.mark.parametrize("message", ["text", ("text", 1), [1, (2,)], {"a": (1,)}], ids=repr)
    def test_a_duplicate_is_known_after_it_was_stored(
        self, manager: SessionManager, message: Any
    ) -> None:
        """I1: a tuple has become a list by then."""
        token = stored(manager)
        for _ in range(2):
            with manager.session(token) as session:
                session.flash(message, allow_duplicate=False)
        assert len(loaded(manager, token).peek_flash()) == 1

    @pytest.mark.parametrize("queue", ["", "error"])
    def test_a_message_that_can_not_be_stored_is_refused(
        self, session: Session, queue: str
    ) -> None:
        """S10: where it is pushed, naming the queue."""
        with pytest.raises(NotStorable, match=rf"flash ?{queue}.*a object can't be stored"):
            session.flash(object(), queue)
        assert session.peek_flash(queue) == []
        assert session.status == Status.UNMODIFIED

    @pytest.mark.parametrize("queue", [5, None, b"error", "\ud800", ("a",)], ids=repr)
    def test_a_queue_that_is_no_text_never_makes_a_session_unreadable(
        self, manager: SessionManager, queue: Any
    ) -> None:
        """S10, L7: it is refused where it is pushed."""
        token = stored(manager, key=1)
        with manager.session(token) as session, pytest.raises(TypeError):
            session.flash("message", queue)
        assert loaded(manager, token) == {"key": 1}

    def test_no_message_vanishes_unseen(self, manager: SessionManager) -> None:
        """S4: one request pops while another one pushes."""
        token = stored(manager)
        with manager.session(token) as session:
            session.flash("seen")
        with manager.session(token) as popping, manager.session(token) as pushing:
            pushing.flash("unseen")
            assert popping.pop_flash() == ["seen"]
        assert loaded(manager, token).peek_flash() == ["unseen"]


class TestCsrf:
    """The CSRF token."""

    def test_it_stays_until_a_new_one_is_made(self, manager: SessionManager) -> None:
        """ASVS 3.5.1: bound to the session."""
        with manager.session() as session:
            token = session.get_csrf_token()
            assert session.get_csrf_token() == token
        with manager.session(session.token) as session:
            assert session.get_csrf_token() == token
            new = session.new_csrf_token()
            assert new != token
            assert session.get_csrf_token() == new
        assert loaded(manager, session.token).get_csrf_token() == new

    def test_it_can_not_be_guessed(self, manager: SessionManager) -> None:
        """ASVS 3.5.1: 192 bits, and nothing of the session's own token."""
        with manager.session() as session:
            made = {session.new_csrf_token() for _ in range(1000)}
        assert len(made) == 1000
        assert all(re.fullmatch(r"[\w-]{32}", token, re.ASCII) for token in made)

    def test_looking_at_it_makes_none(self, manager: SessionManager) -> None:
        """S2: as a debugger does."""
        with manager.session() as session:
            assert session.csrf_token is None
            assert session.status == Status.UNMODIFIED
            made = session.get_csrf_token()
            assert session.csrf_token == made
