"""A session whose response is decided."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from myapp.sessions import (
    Session,
    SessionClosed,
    SessionManager,
    Status,
)
from tests.sessions.session.helpers import (
    close,
    loaded,
)

CHANGES: Mapping[str, Callable[[Session], Any]] = {
    "set": lambda s: s.update({"key": 2}),
    "item": lambda s: s.__setitem__("key", 2),
    "delete": lambda s: s.__delitem__("key"),
    "pop": lambda s: s.pop("key"),
    "popitem": lambda s: s.popitem(),
    "clear": lambda s: s.clear(),
    "setdefault": lambda s: s.setdefault("new", 1),
    "ior": lambda s: s.__ior__({"key": 2}),
    "flash": lambda s: s.flash("x"),
    "pop_flash": lambda s: s.pop_flash("pushed"),
    "csrf": lambda s: s.new_csrf_token(),
    "remember": lambda s: s.remember_me(True),
    "renew": lambda s: s.renew(),
    "invalidate": lambda s: s.invalidate(),
    "sign_in": lambda s: s.sign_in("ann"),
    "sign_out": lambda s: s.sign_out(),
    "merge": lambda s: s.merge("A" * 43),
    "deadline": lambda s: setattr(s, "deadline", s.deadline),
}
LOOKS: Mapping[str, Callable[[Session], Any]] = {
    "get": lambda s: s.get("key"),
    "item": lambda s: s["key"],
    "in": lambda s: "key" in s,
    "len": len,
    "iter": list,
    "equal": lambda s: s == {},
    "copy": lambda s: s.copy(),
    "get_as": lambda s: s.get_as("key", str),
    "setdefault": lambda s: s.setdefault("key"),
    "peek": lambda s: s.peek_flash("pushed"),
    "pop_nothing": lambda s: s.pop_flash("none"),
    "csrf": lambda s: s.get_csrf_token(),
    "user": lambda s: s.user_id,
    "generation": lambda s: s.generation,
    "token": lambda s: s.token,
    "handle": lambda s: s.handle,
    "status": lambda s: s.status,
    "deadline": lambda s: s.deadline,
    "created": lambda s: s.created,
    "new": lambda s: s.new,
}


class TestClosed:
    """After the response was decided."""

    @pytest.fixture
    def token(self, manager: SessionManager) -> str:
        with manager.session() as session:
            session["key"] = "value"
            session.flash("message", "pushed")
            session.get_csrf_token()
        return session.token

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_a_change_raises_and_changes_nothing(
        self, manager: SessionManager, token: str, change: Callable[[Session], Any]
    ) -> None:
        """S10: it would be lost."""
        session = loaded(manager, token)
        close(session)
        with pytest.raises(SessionClosed, match="changed after it was saved"):
            change(session)
        assert session == {"key": "value"}
        assert session.peek_flash("pushed") == ["message"]
        assert session.status == Status.UNMODIFIED
        assert session.token == token

    @pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
    def test_a_loaded_session_stays_readable(
        self, manager: SessionManager, token: str, look: Callable[[Session], Any]
    ) -> None:
        """S10, S12: in a streamed body, say."""
        session = loaded(manager, token)
        before = look(session)
        close(session)
        assert look(session) == before

    @pytest.mark.parametrize("use", [*CHANGES.values(), *LOOKS.values()], ids=[*CHANGES, *LOOKS])
    def test_a_first_access_raises(
        self, manager: SessionManager, token: str, use: Callable[[Session], Any]
    ) -> None:
        """S10: there is no telling the client about it any more; the store is not asked."""
        with manager.session(token) as session:
            close(session)
            with pytest.raises(SessionClosed, match="first used after its response was decided"):
                use(session)
            assert session._state.loaded is None
        assert repr(session) == "<Session, not loaded>"
