"""How long a session and its cookie last."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myapp.sessions import (
    Session,
    SessionManager,
    Status,
)
from myapp.sessions.testing import memory_manager
from tests.sessions.app import Clock
from tests.sessions.session.helpers import (
    HOUR,
    cookie_after_save,
    loaded,
    row_of,
    stored,
)


class TestDeadline:
    """The absolute limit."""

    def test_a_session_has_the_lifetime_of_its_kind(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """C1: anonymous or signed in; an aware datetime in UTC."""
        now = datetime.fromtimestamp(clock.now / 1000, UTC)
        assert loaded(manager, stored(manager)).deadline == now + 2 * HOUR
        signed_in = loaded(manager, stored(manager, "ann")).deadline
        assert signed_in == now + 8 * HOUR
        assert signed_in.tzinfo is UTC

    @pytest.mark.parametrize(
        "act",
        [
            lambda s: s.update(a=1),
            lambda s: s.renew(),
            lambda s: s.flash("x"),
            lambda s: s.new_csrf_token(),
            lambda s: s.remember_me(False),
            lambda s: s.merge("A" * 43),
        ],
    )
    def test_nothing_in_passing_moves_it(
        self, manager: SessionManager, clock: Clock, act: Callable[[Session], None]
    ) -> None:
        """R5: neither a save nor a renewal."""
        token = stored(manager, "ann")
        deadline = loaded(manager, token).deadline
        clock.forward(3600)
        with manager.session(token) as session:
            act(session)
        assert loaded(manager, session.token).deadline == deadline

    @pytest.mark.parametrize("renew", [False, True])
    def test_an_assignment_moves_it(
        self, manager: SessionManager, clock: Clock, renew: bool
    ) -> None:
        """I6: nearer or farther, in any zone; the row and the cookie follow."""
        token = stored(manager, key=1)
        for hours in (20, 1):
            session = loaded(manager, token)
            when = (session.deadline - 2 * HOUR + hours * HOUR).astimezone(timezone(-5 * HOUR))
            session.deadline = when
            if renew:
                session.renew()
            assert session.status == Status.MODIFIED
            cookie = cookie_after_save(session)
            assert cookie is not None
            assert f"Max-Age={hours * 3600};" in cookie
            token = session.token
            assert loaded(manager, token).deadline == when
            row = row_of(manager, token)
            assert row.deadline == row.expires_at == clock.now + hours * 3_600_000
            with manager.session(token) as back:
                back.deadline = when + 2 * HOUR - hours * HOUR
        clock.forward(2 * 3600)
        assert manager.load(token) is None

    def test_it_may_be_400_days_away_and_no_more(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """I6: as long as browsers keep a cookie; the present is too near."""
        session = loaded(manager, stored(manager))
        now = datetime.fromtimestamp(clock.now / 1000, UTC)
        millisecond = timedelta(milliseconds=1)
        for good in (now + millisecond, now + timedelta(days=400)):
            session.deadline = good
            assert session.deadline == good
        for bad in (
            now,
            now - millisecond,
            now + timedelta(days=400) + millisecond,
            datetime.min.replace(tzinfo=UTC),
            datetime.max.replace(tzinfo=UTC),
        ):
            with pytest.raises(ValueError, match="within the next 400 days"):
                session.deadline = bad
            assert session.deadline == good

    def test_a_naive_datetime_is_refused(self, session: Session) -> None:
        """I6: whose midnight would it be?"""
        with pytest.raises(ValueError, match="no time zone"):
            session.deadline = datetime(2030, 1, 1)
        assert session.status == Status.UNMODIFIED

    @given(st.integers(1, 400 * 24 * 3600))
    def test_a_cookie_never_outlives_it(self, seconds: int) -> None:
        """R5: whatever is assigned."""
        clock = Clock()
        manager = memory_manager(clock)
        session = loaded(manager, stored(manager))
        session.deadline = datetime.fromtimestamp(clock.now / 1000, UTC) + timedelta(
            seconds=seconds
        )
        clock.forward(0.5)
        cookie = cookie_after_save(session)
        assert cookie is not None
        assert f"; Max-Age={seconds - 1};" in cookie


class TestRememberMe:
    """Whether the cookie outlives the browser."""

    @pytest.mark.parametrize("persist", ["true", "false"])
    @pytest.mark.parametrize("remember", [None, True, False])
    def test_a_session_decides_and_else_the_setting(
        self, persist: str, remember: bool | None
    ) -> None:
        """I5: with Max-Age or without."""
        manager = memory_manager(cookie_persist=persist)
        session = loaded(manager, stored(manager))
        session.renew()
        if remember is not None:
            session.remember_me(remember)
        cookie = cookie_after_save(session)
        assert cookie is not None
        assert ("Max-Age" in cookie) is (persist == "true" if remember is None else remember)

    def test_the_decision_is_kept(self, manager: SessionManager) -> None:
        """I5: a later renewal sends the same kind of cookie, and an unchanged wish sends none."""
        token = stored(manager)
        session = loaded(manager, token)
        session.remember_me(False)
        cookie = cookie_after_save(session)
        assert cookie is not None
        assert cookie.startswith(f"session={token}; ")
        assert "Max-Age" not in cookie
        later = loaded(manager, token)
        later.remember_me(False)
        assert cookie_after_save(later) is None
        later = loaded(manager, token)
        later.renew()
        assert "Max-Age" not in (cookie_after_save(later) or "Max-Age")
