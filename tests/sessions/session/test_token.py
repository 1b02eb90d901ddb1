"""What a session says of itself: token, status, handle."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest

from myapp.sessions import (
    Session,
    SessionManager,
    Status,
)
from myapp.sessions.core.token import digest
from tests.sessions.session.helpers import (
    loaded,
    row_of,
    stored,
)


class TestToken:
    """What stands in the cookie."""

    def test_it_is_the_one_that_opened_the_session(self, manager: SessionManager) -> None:
        """I7: and of a new one, the one that will."""
        token = stored(manager)
        assert loaded(manager, token).token == token
        with manager.session() as session:
            announced = session.token
            assert session.token == announced
            session["key"] = 1
        assert loaded(manager, announced) == {"key": 1}

    def test_an_unknown_token_is_not_adopted(self, manager: SessionManager) -> None:
        """L3: what a client made up, or what stands in a stolen table (R6), opens nothing."""
        known = digest("session", stored(manager, key=1))
        for made_up in ("A" * 43, urlsafe_b64encode(known).decode().rstrip("=")):
            with manager.session(made_up) as session:
                assert session.new
                session["key"] = 2
            assert session.token != made_up
            assert manager.load(made_up) is None

    def test_one_managers_token_opens_nothing_of_another(self, manager: SessionManager) -> None:
        """L10: also in the same store."""
        token = stored(manager, key=1)
        manager.kind.name = "admin_session"
        assert manager.load(token) is None

    def test_the_row_holds_no_token(self, manager: SessionManager) -> None:
        """R6: nor does its marker."""
        token = stored(manager, "ann", key=1)
        assert token not in repr(row_of(manager, token))
        with manager.session(token) as session:
            session.renew()
        for part in (token, session.token):
            assert part not in repr(row_of(manager, token))

    @pytest.mark.parametrize(
        ("act", "status"),
        [
            (lambda s: None, Status.UNMODIFIED),
            (lambda s: s.get("key"), Status.UNMODIFIED),
            (lambda s: s.update(key=2), Status.MODIFIED),
            (lambda s: s["cart"].append(1), Status.MODIFIED),
            (lambda s: s.flash("x"), Status.MODIFIED),
            (lambda s: s.new_csrf_token(), Status.MODIFIED),
            (lambda s: s.remember_me(True), Status.MODIFIED),
            (lambda s: s.renew(), Status.MODIFIED),
            (lambda s: s.sign_in("ann"), Status.MODIFIED),
            (lambda s: s.invalidate(), Status.ENDED),
            (lambda s: s.sign_out(), Status.ENDED),
            (lambda s: (s.invalidate(), s.update(a=1)), Status.ENDED),
        ],
    )
    def test_the_status_says_what_it_is_about_to_become(
        self, session: Session, act: Callable[[Session], Any], status: Status
    ) -> None:
        """I7: as scs has it."""
        act(session)
        assert session.status is status
        assert session.status == status.value
