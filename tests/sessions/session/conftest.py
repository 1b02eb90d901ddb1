"""A clock, a manager and a session, which a test may take apart."""

import pytest

from myapp.sessions import (
    Session,
    SessionManager,
)
from myapp.sessions.testing import memory_manager
from tests.sessions.app import Clock
from tests.sessions.session.helpers import (
    loaded,
    stored,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(clock: Clock) -> SessionManager:
    """Sessions of 8 hours for users and 2 hours for others."""
    return memory_manager(clock, lifetime="8h", anonymous_lifetime="2h")


@pytest.fixture
def session(manager: SessionManager) -> Session:
    """A session that is stored, and was loaded again."""
    return loaded(manager, stored(manager, key="value", cart=[1]))
