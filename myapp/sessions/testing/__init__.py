"""Sessions for your tests: one for unit tests, and helpers for WebTest.

In a unit test, pass `DummyRequest(session=session(cart=[1]))` to a view. In a functional test,
sign a TestApp in with `sign_in(testapp, "alice")`; these sessions are real ones, in the
application's database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import Cookie
from typing import Any

from myapp.sessions import get_manager, make_manager
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.core.manager import SessionManager, Tokens
from myapp.sessions.core.session import Session
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.core.state import State
from myapp.sessions.testing.memory_store import MemoryStore


def memory_manager(clock: Callable[[], int] | None = None, **settings: str) -> SessionManager:
    """A manager whose sessions live in memory; settings by their short names: `lifetime="3h"`."""
    given = {f"session.{name}": value for name, value in settings.items()}
    return make_manager(
        read_session_settings(given, {}), MemoryStore(), clock=clock or SteadyClock()
    )


def session(user_id: str | None = None, /, **values: Any) -> Session:
    """A session outside of any database, with these values and, if given, a signed-in user."""
    made = Session(State(kind=memory_manager().kind, source=Tokens(None)))
    if user_id is not None:
        made.sign_in(user_id)
    made.update(values)
    return made


def sign_in(
    testapp: Any,
    user_id: str,
    *,
    name: str = "session",
    generation: bytes | None = None,
    **values: Any,
) -> str:
    """Store a session of a user with these values, and give its cookie to a WebTest TestApp.

    Returns the session's handle. `generation` is what the application's policy returns for that
    user: `policy.generation(user)`. The TestApp must use https, because WebTest sends Secure
    cookies over nothing else: `TestApp(app, extra_environ={"wsgi.url_scheme": "https"})`.
    """
    manager = _manager_of(testapp, name)
    with manager.session() as stored:
        stored.sign_in(user_id, generation=generation)
        stored.update(values)
    _set_cookie(testapp, manager.settings.cookie_name, stored.token)
    return stored.handle


@contextmanager
def stored_session(testapp: Any, *, name: str = "session") -> Iterator[Session]:
    """The session whose cookie a TestApp has, or a new one, to read or to change.

    Changes are saved at the end of the block, as if another request had made them.
    """
    manager = _manager_of(testapp, name)
    with manager.session(testapp.cookies.get(manager.settings.cookie_name)) as stored:
        yield stored
    if not stored.new or stored.status == "modified":
        _set_cookie(testapp, manager.settings.cookie_name, stored.token)


def _manager_of(testapp: Any, name: str) -> SessionManager:
    return get_manager(testapp.app.registry, name)


def _set_cookie(testapp: Any, name: str, token: str) -> None:
    # TestApp.set_cookie would quote the token and forget its host.
    host = testapp.extra_environ.get("HTTP_HOST", "localhost").partition(":")[0]
    domain = host if "." in host else f"{host}.local"
    testapp.cookiejar.set_cookie(
        Cookie(
            version=0, name=name, value=token, port=None, port_specified=False, domain=domain,
            domain_specified=False, domain_initial_dot=False, path="/", path_specified=True,
            secure=False, expires=None, discard=True, comment=None, comment_url=None, rest={},
        )
    )  # fmt: skip
