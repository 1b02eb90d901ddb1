"""What is saved, and when nothing is."""

from collections.abc import Callable
from copy import deepcopy
from datetime import date
from typing import Any

import pytest

from myapp.sessions import (
    NotStorable,
    Session,
    SessionManager,
    SessionTooLarge,
    Status,
)
from myapp.sessions.testing import memory_manager
from tests.sessions.session.helpers import (
    HOUR,
    live_rows,
    loaded,
    row_of,
    stored,
)


class TestSaving:
    """What is written of all that, and when."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda s: s["cart"].append(2),
            lambda s: s["deep"]["er"].update(x=2),
            lambda s: s["deep"]["er"].pop("y"),
            lambda s: s["cart"].clear(),
            lambda s: s.get("cart").extend([3]),
            lambda s: s.setdefault("cart", []).insert(0, 1),
            lambda s: next(iter(s.values())).append(1),
            lambda s: s.copy()["cart"].append(1),
            lambda s: s.pop("key"),
            lambda s: s.clear(),
            lambda s: s.update(key=True),
            lambda s: s.update(one=True),
        ],
    )
    def test_every_change_is_noticed(
        self, manager: SessionManager, change: Callable[[Session], None]
    ) -> None:
        """S1: a nested one too, without `changed()`, and one of the type alone."""
        token = stored(manager, cart=[1], deep={"er": {"y": 1}}, key="v", one=1)
        with manager.session(token) as session:
            change(session)
            assert session.status == Status.MODIFIED
            expected = deepcopy(session.copy())
        assert repr(loaded(manager, token).copy()) == repr(expected)
        assert row_of(manager, token).version == 2

    @pytest.mark.parametrize(
        "borrow",
        [
            lambda s: s["cart"],
            lambda s: s.get("cart"),
            lambda s: s.setdefault("cart", None),
            lambda s: s.copy()["cart"],
            lambda s: dict(s)["cart"],
            lambda s: (s | {})["cart"],
            lambda s: ({} | s)["cart"],
            lambda s: s.keys().mapping["cart"],
            lambda s: next(value for value in s.values() if value == [1]),
            lambda s: dict(s.items())["cart"],
            lambda s: s.peek_flash()[0],
        ],
    )
    def test_what_was_handed_out_is_looked_at_again(
        self, manager: SessionManager, borrow: Callable[[Session], list[int]]
    ) -> None:
        """S1: whatever it was handed out by; what was not is not even compared."""
        with manager.session() as made:
            made.update(key="value", cart=[1])
            made.flash([1])
        with manager.session(made.token) as session:
            assert session["key"] == "value"
            assert not session._state.lent
            borrow(session).append(2)
        assert row_of(manager, made.token).version == 2

    @pytest.mark.parametrize(
        "look",
        [
            lambda s: s["cart"],
            lambda s: s.get("none"),
            lambda s: s.update(cart=[1], key="v"),
            lambda s: s.update(key=s.pop("key")),
            lambda s: s.update(pair=(1, 2)),
            lambda s: s.get_csrf_token(),
            lambda s: s.pop_flash(),
            lambda s: (s["cart"].append(2), s["cart"].pop()),
            lambda s: s.changed(),
        ],
    )
    def test_what_changes_nothing_writes_nothing(
        self, manager: SessionManager, look: Callable[[Session], Any]
    ) -> None:
        """S1: the row is the one that it was."""
        token = stored(manager, cart=[1], key="v", pair=(1, 2))
        before = row_of(manager, token)
        with manager.session(token) as session:
            look(session)
        assert row_of(manager, token) is before

    @pytest.mark.parametrize(
        "look",
        [
            lambda s: s.get("key"),
            lambda s: s.pop("key", None),
            lambda s: s.clear(),
            lambda s: s.pop_flash(),
            lambda s: s.remember_me(True),
            lambda s: s.renew(),
            lambda s: s.invalidate(),
            lambda s: (s.update(key=1), s.clear()),
            lambda s: (s.flash("x"), s.pop_flash()),
            lambda s: (s.token, s.handle, s.status, s.deadline, s.created, s.new, s.user_id),
        ],
    )
    def test_an_empty_new_session_makes_no_row(
        self, manager: SessionManager, look: Callable[[Session], Any]
    ) -> None:
        """S2: nor is it modified."""
        with manager.session() as session:
            look(session)
            assert session.status != Status.MODIFIED
        assert live_rows(manager) == 0

    def test_a_nested_value_that_can_not_be_stored_is_refused_when_saving(
        self, manager: SessionManager
    ) -> None:
        """S10: with the key; the row is left as it was."""
        token = stored(manager, cart=[1])
        with (
            pytest.raises(NotStorable, match=r"session\['cart'\]"),
            manager.session(token) as session,
        ):
            session["cart"].append(date(2024, 1, 1))
        assert loaded(manager, token) == {"cart": [1]}

    @pytest.mark.parametrize(
        "also",
        [
            lambda s: s.renew(),
            lambda s: s.sign_in("ann"),
            lambda s: s.remember_me(True),
            lambda s: setattr(s, "deadline", s.deadline + HOUR),
            lambda s: s.flash("x"),
        ],
        ids=["renew", "sign_in", "remember", "deadline", "flash"],
    )
    def test_so_it_is_whatever_else_is_saved(
        self, manager: SessionManager, also: Callable[[Session], None]
    ) -> None:
        """S10: a date is not stored as a text by the way."""
        token = stored(manager, cart=[1])

        def save() -> None:
            with manager.session(token) as session:
                session["cart"].append(date(2024, 1, 1))
                also(session)

        with pytest.raises(NotStorable, match="cart"):
            save()
        assert loaded(manager, token) == {"cart": [1]}

    def test_what_exceeds_the_size_is_refused_when_saving(self) -> None:
        """S10: new or stored; the error says how large it is."""
        manager = memory_manager(max_size="1000")
        with (
            pytest.raises(SessionTooLarge, match=r"max_size allows \(1000\)"),
            manager.session() as session,
        ):
            session["key"] = "x" * 1000
        assert live_rows(manager) == 0
        token = stored(manager, key=1)
        with pytest.raises(SessionTooLarge), manager.session(token) as session:
            session["more"] = "x" * 1000
        assert loaded(manager, token) == {"key": 1}

    def test_nothing_is_saved_after_an_error(self, manager: SessionManager) -> None:
        """I13: the block that it leaves."""
        token = stored(manager, key=1)

        def fail() -> None:
            with manager.session(token) as session:
                session["key"] = 2
                raise LookupError

        with pytest.raises(LookupError):
            fail()
        assert loaded(manager, token) == {"key": 1}

    def test_two_that_change_different_keys_both_survive(self, manager: SessionManager) -> None:
        """S4: and of the same key the later."""
        token = stored(manager, old=1, same=0)
        with manager.session(token) as one, manager.session(token) as other:
            one.update(mine=1, same=1)
            other.update(theirs=2, same=2)
            del other["old"]
        assert loaded(manager, token) == {"mine": 1, "theirs": 2, "same": 1}

    def test_a_late_save_does_not_resurrect_a_session(self, manager: SessionManager) -> None:
        """S3: CVE-2025-46336; scs, express-session #632."""
        token = stored(manager, "ann", key=1)
        with manager.session(token) as late:
            late["key"] = 2
            with manager.session(token) as session:
                session.sign_out()
        assert live_rows(manager) == 0
        assert manager.load(token) is None
