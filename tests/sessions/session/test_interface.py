"""What every session has: the interface of Pyramid."""

from collections.abc import Callable

import pytest
from pyramid.interfaces import ISession
from zope.interface.verify import verifyClass, verifyObject

from myapp.sessions import (
    Session,
    SessionManager,
    Status,
)
from myapp.sessions.testing import memory_manager
from tests.sessions.app import Clock
from tests.sessions.session.helpers import (
    loaded,
    stored,
)


class TestInterface:
    """Pyramid's ISession."""

    def test_it_provides_pyramids_interface(self, session: Session) -> None:
        """I1: new or stored, whatever was looked at."""
        verifyClass(ISession, Session)
        verifyObject(ISession, session)
        with memory_manager().session() as new:
            verifyObject(ISession, new)

    def test_it_has_every_method_of_a_dict(self) -> None:
        """I1: in full, hashing and the class's own constructors aside."""
        missing = set(dir(dict)) - set(dir(Session))
        assert missing <= {"fromkeys", "__class_getitem__"}

    def test_it_can_not_be_hashed(self, session: Session) -> None:
        """I1: no more than a dict can, as it compares by contents."""
        with pytest.raises(TypeError, match="unhashable"):
            hash(session)

    def test_created_and_new(self, manager: SessionManager, clock: Clock) -> None:
        """I1: whole seconds since 1970, and whether a row exists."""
        with manager.session() as session:
            session["key"] = 1
            assert session.new
            assert session.created == clock.now // 1000
        clock.forward(60)
        later = loaded(manager, session.token)
        assert not later.new
        assert later.created == clock.now // 1000 - 60
        assert type(later.created) is int

    def test_changed_does_nothing_and_needs_not_be_called(self, session: Session) -> None:
        """S1: changes are noticed."""
        session.changed()
        assert session.status == Status.UNMODIFIED

    @pytest.mark.parametrize(
        "act", [lambda s: None, lambda s: s.sign_in("ann"), lambda s: s.renew()]
    )
    def test_its_repr_shows_neither_token_nor_contents(
        self, manager: SessionManager, act: Callable[[Session], None]
    ) -> None:
        """R6: it stands in logs and on error pages."""
        session = loaded(manager, stored(manager, key="a secret value"))
        before = session.token
        act(session)
        shown = f"{session!r} {session}"
        for secret in (before, session.token, session.get_csrf_token(), "secret value"):
            assert secret not in shown
        assert session.handle in shown

    def test_the_repr_of_what_was_loaded_shows_no_token(self, session: Session) -> None:
        """R6: local variables are shown on the pages of a debugger."""
        assert session.token not in repr(session._state.loaded)

    def test_the_repr_does_not_load(self, manager: SessionManager) -> None:
        """L1: looking at a request in a debugger costs nothing."""
        with manager.session(stored(manager)) as session:
            assert repr(session) == "<Session, not loaded>"
            assert session._state.loaded is None
