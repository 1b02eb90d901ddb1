"""Signing in and out by Pyramid's remember and forget, and what ends a user's sessions."""

from dataclasses import dataclass
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.security import forget, remember

from myapp.sessions import SessionSecurityPolicy
from myapp.sessions.core.events import SessionEnded
from tests.sessions.app import App, Clock, cookies_of, token_of
from tests.sessions.conftest import MakeApp


@dataclass
class User:
    """A user as an application may have it."""

    id: str
    password_hash: str


class Policy(SessionSecurityPolicy):
    """Users in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.users = {"ann": User("ann", "$argon2$1"), "bob": User("bob", "$argon2$1")}

    def user(self, request: Request, user_id: str) -> User | None:
        return self.users.get(user_id)


def change_password(request: Request) -> None:
    """A view that goes on in this session alone."""
    policy.users["ann"].password_hash += "!"
    remember(request, "ann")


VIEWS: dict[str, Any] = {
    "in": lambda request: remember(request, "ann") or request.authenticated_userid,
    "out": lambda request: forget(request) or request.authenticated_userid or "nobody",
    "who": lambda request: getattr(request.identity, "id", "nobody"),
    "password": change_password,
    "set": lambda request: request.session.update(key=1),
}

policy = Policy()


@pytest.fixture
def ended() -> list[str]:
    return []


@pytest.fixture
def app(make_app: MakeApp, ended: list[str]) -> App:
    policy.__init__()  # type: ignore[misc]  # the same object, as if new

    def configure(config: Configurator) -> None:
        config.set_security_policy(policy)
        config.add_subscriber(lambda event: ended.append(event.reason), SessionEnded)

    return make_app(VIEWS, configure=configure, max_per_user="2", clock=Clock())


def test_remember_signs_in_and_forget_out(app: App) -> None:
    """I11: the identity is right at once, in the same request too."""
    response = app.get("/in")
    token = token_of(response)
    assert response.text == "ann"
    assert app.get("/who", token).text == "ann"
    out = app.get("/out", token)
    assert out.text == "nobody"
    assert "Max-Age=0" in cookies_of(out)[0]
    assert app.get("/who", token).text == "nobody"


def test_a_changed_password_ends_the_other_sessions(app: App, ended: list[str]) -> None:
    """R7: ASVS 7.4.3; the one in which it was changed goes on, under a new token."""
    mine, others = token_of(app.get("/in")), token_of(app.get("/in"))
    mine = token_of(app.get("/password", mine))
    response = app.get("/who", others)
    assert response.text == "nobody"
    assert "Max-Age=0" in cookies_of(response)[0]
    assert app.get("/who", mine).text == "ann"
    assert ended == ["outdated"]
    assert len(app.manager.of_user("ann")) == 1


def test_a_deleted_user_is_signed_out(app: App) -> None:
    """R7: ASVS 7.4.2; at the next request, without anybody looking for the sessions."""
    token = token_of(app.get("/in"))
    del policy.users["ann"]
    assert app.get("/who", token).text == "nobody"
    assert app.rows() == []


def test_a_sign_in_beyond_the_limit_ends_the_oldest(app: App, ended: list[str]) -> None:
    """R8: ASVS 7.1.2; sign in N+1 times."""
    clock = app.manager.kind.clock
    assert isinstance(clock, Clock)
    tokens = []
    for _ in range(3):
        clock.forward(1)
        tokens.append(token_of(app.get("/in")))
    assert [app.get("/who", token).text for token in tokens] == ["nobody", "ann", "ann"]
    assert ended == ["limit"]
    assert len(app.manager.of_user("ann")) == 2


@pytest.mark.parametrize(
    ("generation", "error"),
    [("abc", TypeError), (7, TypeError), (bytearray(b"x"), TypeError), (b"x" * 33, ValueError)],
)
def test_a_generation_that_no_column_holds_is_refused(
    app: App, monkeypatch: pytest.MonkeyPatch, generation: Any, error: type[Exception]
) -> None:
    """R7: by name, at sign-in and where it is compared; not by a 503 on one database, and a
    silent sign-out on another.
    """
    token = token_of(app.get("/in"))
    monkeypatch.setattr(policy, "generation", lambda user: generation)
    for path, tokens in (("/in", []), ("/who", [token])):
        with pytest.raises(error, match="security generation") as caught:
            app.get(path, *tokens)
        assert repr(generation) not in str(caught.value)
    monkeypatch.undo()
    assert app.get("/who", token).text == "ann"


def test_who_is_no_user_is_not_remembered(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """I11: `None` is nobody's name, neither for the session nor for who looks users up."""
    asked: list[str] = []
    monkeypatch.setattr(policy, "user", lambda request, user_id: asked.append(user_id))
    request = Request.blank("/")
    request.registry = app.router.registry
    for nobody in (None, True, b"ann", 1.5):
        with pytest.raises(TypeError, match="a user id must be a str, an int or a UUID"):
            remember(request, nobody)
    assert asked == []


def test_anonymous_sessions_are_not_limited(app: App) -> None:
    """R8: only a user's are counted."""
    for _ in range(4):
        app.get("/set")
    assert len(app.rows()) == 4
