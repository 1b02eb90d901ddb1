"""What the checker meets too seldom: a session that is saved between another request's look at it
and its touch.
"""

import pytest

from myapp.sessions import make_manager
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.sql.store import SqlStore
from tests.sessions.app import create_table


def test_a_touch_leaves_what_others_saved_alone(
    database_url: str, request: pytest.FixtureRequest
) -> None:
    """S9: it moves the idle clock, and writes back nothing of what it had read."""
    create_table(database_url)
    store = SqlStore(database_url)
    request.addfinalizer(store.close)
    manager = make_manager(read_session_settings({"session.idle_timeout": "1h"}, {}), store)
    with manager.session() as session:
        session["a"] = 1
    began = manager.kind.clock()
    manager.kind.clock = lambda: began + 120_000
    with manager.session(session.token) as reading:
        assert reading == {"a": 1}
        with manager.session(session.token) as writing:
            writing["a"] = 2
            writing.flash("there")
    found = manager.load(session.token)
    assert found == {"a": 2}
    assert found.peek_flash() == ["there"]
