"""Users come and go."""

from enum import Enum
from typing import Any

import pytest

from myapp.sessions import (
    Session,
    SessionManager,
    Status,
)
from myapp.sessions.core.user import MAX_USER_ID
from tests.sessions.app import Clock
from tests.sessions.session.helpers import (
    live_rows,
    loaded,
    row_of,
    stored,
)


class TestSigningIn:
    """The session of a user."""

    def test_an_anonymous_session_becomes_a_users(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """R4: a new token, a new handle, a new lifetime; what was put in the basket stays."""
        token = stored(manager, cart=[1])
        old = row_of(manager, token)
        csrf = loaded(manager, token).get_csrf_token()
        clock.forward(3600)
        with manager.session(token) as session:
            session.flash("welcome")
            session.sign_in("ann", generation=b"g1")
            assert (session.user_id, session.generation) == ("ann", b"g1")
            assert session.get_csrf_token() != csrf
            assert session == {"cart": [1]}
            assert session.status == Status.MODIFIED
        new = row_of(manager, session.token)
        assert (new.user_id, new.generation) == ("ann", b"g1")
        assert new.handle != old.handle
        assert new.created_at == clock.now
        assert new.deadline == clock.now + 8 * 3_600_000
        assert loaded(manager, session.token).peek_flash() == ["welcome"]
        assert row_of(manager, token).ended == "renewed"
        assert manager.load(token) is None

    def test_how_they_proved_it_and_why_they_left_are_texts(self, manager: SessionManager) -> None:
        """I16, I12: what can't be stored is refused at once, and leaves no unreadable session."""
        with manager.session() as session:
            for wrong in (5, b"password", ["x"]):
                with pytest.raises(TypeError, match="a sign-in's method must be a str"):
                    session.sign_in("ann", method=wrong)  # type: ignore[arg-type]  # is the point
                with pytest.raises(TypeError, match="a reason must be a str"):
                    session.sign_out(wrong)  # type: ignore[arg-type]  # is the point
            for odd in ("a\0", "\ud800", "a\nb"):
                with pytest.raises(ValueError, match="a sign-in's method must be printable"):
                    session.sign_in("ann", method=odd)
                with pytest.raises(ValueError, match="a reason must have 1 to 16 printable"):
                    session.sign_out(odd)
            assert session.user_id is None

    def test_an_enums_member_is_the_user_of_its_value(self, manager: SessionManager) -> None:
        """I11: whatever it says of itself."""

        class Name(str, Enum):  # noqa: UP042  # one whose `str` is not its value
            ANN = "ann"

        with manager.session() as session:
            session.sign_in(Name.ANN)
        assert [info.user_id for info in manager.of_user("ann")] == ["ann"]
        assert manager.end_all(Name.ANN) == 1

    def test_the_token_before_is_of_no_use_to_who_planted_it(self, manager: SessionManager) -> None:
        """R4: session fixation."""
        planted = stored(manager)
        with manager.session(planted) as victim:
            victim.sign_in("ann")
        assert manager.load(planted) is None
        assert victim.token != planted

    def test_signing_in_alone_makes_a_session(self, manager: SessionManager) -> None:
        """R4: empty as it is."""
        with manager.session() as session:
            assert session.user_id is None
            session.sign_in(17)
            assert session.status == Status.MODIFIED
        assert loaded(manager, session.token).user_id == "17"

    def test_nothing_of_another_users_data_survives(self, manager: SessionManager) -> None:
        """R4: values, messages, CSRF token, whatever was set in this request before."""
        token = stored(manager, "ann", secret=1)
        csrf = loaded(manager, token).get_csrf_token()
        with manager.session(token) as session:
            session["just"] = "now"
            session.flash("for ann")
            session.sign_in("bob")
            session["after"] = 1
            assert session == {"after": 1}
        bobs = loaded(manager, session.token)
        assert bobs == {"after": 1}
        assert bobs.peek_flash() == []
        assert bobs.get_csrf_token() != csrf
        assert bobs.user_id == "bob"
        assert manager.load(token) is None

    def test_not_even_what_another_request_adds_meanwhile(self, manager: SessionManager) -> None:
        """R4: the two are not merged then."""
        token = stored(manager, "ann", secret=1)
        with manager.session(token) as session, manager.session(token) as other:
            other["more"] = "secrets"
            other.flash("for ann")
            session.sign_in("bob")
        bobs = loaded(manager, session.token)
        assert bobs == {}
        assert bobs.peek_flash() == []
        assert live_rows(manager) == 1

    def test_the_same_user_again_keeps_the_data(self, manager: SessionManager) -> None:
        """R4, ASVS 7.2.4: re-authentication is a renewal."""
        token = stored(manager, "ann", key=1)
        with manager.session(token) as session:
            session.sign_in("ann")
        assert loaded(manager, session.token) == {"key": 1}
        assert session.token != token
        assert manager.load(token) is None

    def test_signing_out_and_in_at_once_keeps_nothing(self, manager: SessionManager) -> None:
        """R4: a new session, also of the same user."""
        token = stored(manager, "ann", key=1)
        with manager.session(token) as session:
            session.sign_out()
            session.sign_in("ann")
        assert loaded(manager, session.token) == {}
        assert loaded(manager, session.token).user_id == "ann"
        assert live_rows(manager) == 1

    def test_a_user_who_signed_in_and_out_at_once_is_out(self, manager: SessionManager) -> None:
        """R2: the last word counts."""
        with manager.session(stored(manager)) as session:
            session.sign_in("ann")
            session.sign_out()
            assert session.user_id is None
        assert live_rows(manager) == 0

    @pytest.mark.parametrize(
        "user_id", ["a", "ann@example.com", "Ünï cödé", "0", 0, 2**80, "x" * 255]
    )
    def test_a_user_id_is_a_printable_text_or_a_number(
        self, manager: SessionManager, user_id: str | int
    ) -> None:
        """I11: it comes back as a text, letter by letter."""
        assert loaded(manager, stored(manager, str(user_id))).user_id == str(user_id)
        with manager.session() as session:
            session.sign_in(user_id)
        assert loaded(manager, session.token).user_id == str(user_id)

    @pytest.mark.parametrize(
        "user_id",
        ["", "a\nb", "a\0", "\r", "\x1b[2J", "\u2028", "\ud800", "x" * (MAX_USER_ID + 1)],
        ids=ascii,
    )
    def test_another_one_is_refused(self, session: Session, user_id: str) -> None:
        """I11: it stands in lists and log lines, and the column ends."""
        with pytest.raises(ValueError, match="printable text of 1 to 255"):
            session.sign_in(user_id)
        assert session.user_id is None
        assert session.status == Status.UNMODIFIED

    @pytest.mark.parametrize("user_id", [None, b"ann", 1.5, True, ["ann"]], ids=repr)
    def test_what_is_neither_text_nor_number_signs_nobody_in(
        self, session: Session, user_id: Any
    ) -> None:
        """I11: the id of a user that was not yet stored is None, and there is no user "None"."""
        with pytest.raises((TypeError, ValueError)):
            session.sign_in(user_id)
        assert session.user_id is None
        assert session.status == Status.UNMODIFIED

    def test_a_user_can_not_be_assigned(self, session: Session) -> None:
        """I11: changed by signing in and out alone; nor is `user_id` a key."""
        with pytest.raises(AttributeError):
            session.user_id = "ann"  # type: ignore[misc]  # what is tried
        session["user_id"] = "ann"
        assert session.user_id is None
