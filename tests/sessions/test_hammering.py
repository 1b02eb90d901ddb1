"""Many requests of one session, or of one user, at once: none is an error, nothing is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pyramid.request import Request

from myapp.sessions.testing.contract import at_once
from tests.sessions.app import App, cookies_of, create_table, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.meanwhile import contents_of, stored

THREADS = 16
ROUNDS = 12
OVERTAKERS = 60
"""So many would save first, if they were let."""


def write(request: Request) -> None:
    request.session[request.params["key"]] = "x" * 2000


def append(request: Request) -> None:
    request.session.setdefault("lists", {})[request.params["key"]] = [1]
    request.session.setdefault(request.params["key"], []).append({"a": ["x" * 2000]})


def flash(request: Request) -> None:
    request.session.flash(request.params["key"])
    request.session["last"] = "x" * 20_000


def count(request: Request) -> None:
    request.session["count"] += 1
    request.session[request.params["key"]] = 1


def write_and_renew(request: Request) -> None:
    write(request)
    request.session.renew()


def write_and_sign_in(request: Request) -> None:
    write(request)
    request.session.sign_in("ann")


def write_locked(request: Request) -> None:
    with request.session.lock(20) as session:
        session["locked"] = session.get("locked", 0) + 1


VIEWS: dict[str, Any] = {
    "write": write,
    "append": append,
    "flash": flash,
    "count": count,
    "locked": write_locked,
    "renew": write_and_renew,
    "sign_in": write_and_sign_in,
}


@pytest.fixture
def app(database_url: str, make_app: MakeApp) -> App:
    create_table(database_url)
    return make_app(VIEWS, url=database_url, max_size="4 MiB")


def hammering(app: App, path: str, token: str, done: list[str]) -> list[Callable[[], None]]:
    """Tasks that send one request after the other, and note the keys that were acknowledged."""

    def requests(thread: int) -> None:
        for number in range(ROUNDS):
            key = f"{path}.{thread}.{number}"
            response = app.get(f"/{path}?key={key}", token)
            assert response.status_code == 200, response
            assert cookies_of(response) == []
            done.append(key)

    return [lambda thread=thread: requests(thread) for thread in range(THREADS)]  # type: ignore[misc]  # mypy can't infer it


class TestOneSession:
    """S4: sixteen requests all the time."""

    @pytest.mark.parametrize("path", ["write", "append", "count"])
    def test_every_key_that_was_acknowledged_is_there(self, app: App, path: str) -> None:
        """S4: keys of each thread's own; a key of all of them has one of their values."""
        token = stored(app, key=1, count=0)
        done: list[str] = []
        assert at_once(*hammering(app, path, token, done)) == [None] * THREADS
        present = contents_of(app, token)
        assert present is not None
        assert len(done) == THREADS * ROUNDS
        shared = {"key", "count", "lists"} if path == "append" else {"key", "count"}
        assert present.keys() == shared | set(done)

    def test_every_message_is_there_once(self, app: App) -> None:
        """S4: while one key is set by all of them."""
        token = stored(app, key=1)
        done: list[str] = []
        assert at_once(*hammering(app, "flash", token, done)) == [None] * THREADS
        with app.manager.session(token) as session:
            assert sorted(session.peek_flash()) == sorted(done)

    def test_a_lock_in_the_midst_of_it_counts_right(self, app: App) -> None:
        """S13, S4: who does not ask for the lock does not wait, and costs its holders nothing."""
        token = stored(app, key=1)
        done: list[str] = []

        def locked() -> None:
            for _ in range(ROUNDS):
                assert app.get("/locked", token).status_code == 200

        tasks = hammering(app, "write", token, done)[:6] + [locked] * 2
        assert at_once(*tasks) == [None] * 8
        present = contents_of(app, token)
        assert present is not None
        assert present.keys() == {"key", "locked", *done}
        assert present["locked"] == 2 * ROUNDS


class Interruptions:
    """Others who save first, each time that one thread is about to.

    One of them that has to wait for that thread is not waited for.
    """

    def __init__(self, app: App, token: str) -> None:
        self.app, self.token = app, token
        self.left, self.acknowledged = OVERTAKERS, list[str]()
        self._slow: list[threading.Thread] = []
        self._victim = threading.get_ident()

    def __call__(self) -> None:
        if threading.get_ident() != self._victim or not self.left or self._slow:
            return
        self.left -= 1
        other = threading.Thread(target=self._save, args=(f"other.{self.left}",))
        other.start()
        other.join(timeout=0.5)
        if other.is_alive():
            self._slow.append(other)

    def _save(self, key: str) -> None:
        if self.app.get(f"/write?key={key}", self.token).status_code == 200:
            self.acknowledged.append(key)

    def over(self) -> list[str]:
        """Once all are done: the keys that were acknowledged."""
        self.left = 0
        for other in self._slow:
            other.join(timeout=20)
        return self.acknowledged


class InterruptedSerializer:
    """A serializer of one's own, during which others have their turn."""

    interrupt: Callable[[], None] = staticmethod(lambda: None)

    def dumps(self, appstruct: Any) -> bytes:
        made = json.dumps(appstruct).encode()
        if b'"key": 1' in made:  # a whole session, and not one of its values
            InterruptedSerializer.interrupt()
        return made

    def loads(self, bstruct: bytes) -> Any:
        return json.loads(bstruct)


@pytest.mark.parametrize("path", ["write", "locked", "renew", "sign_in"])
def test_whoever_is_overtaken_again_and_again_is_saved_in_the_end(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """S4, S13, R1: an unlucky one among many; no change, neither theirs nor its own, is lost."""
    app = make_app(VIEWS, serializer=f"{__name__}.InterruptedSerializer", max_size="4 MiB")
    token = stored(app, key=1)
    others = Interruptions(app, token)
    monkeypatch.setattr(InterruptedSerializer, "interrupt", staticmethod(others))
    response = app.get(f"/{path}?key=mine", token)
    # In the end they have to wait.
    assert others.left > OVERTAKERS / 2
    acknowledged = others.over()
    assert response.status_code == 200
    assert acknowledged
    present = contents_of(app, token_of(response) if path in ("renew", "sign_in") else token)
    assert present is not None
    own = "locked" if path == "locked" else "mine"
    # What came after a renewal was told so, by having no cookie; what came before is in it.
    assert {"key", own} <= present.keys()
    if path in ("write", "locked"):
        assert present.keys() == {"key", own, *acknowledged}
    else:
        assert len(present) > len(acknowledged)


@pytest.mark.parametrize("visitors", [True, False], ids=["with a basket", "without a session"])
def test_one_user_signing_in_in_four_places_at_once_is_no_error(
    database_url: str, make_app: MakeApp, visitors: bool
) -> None:
    """R8, S7: each sign-in ends what is too much, and meets the others doing the same."""
    create_table(database_url)
    app = make_app(VIEWS, url=database_url, max_per_user="1")
    for _ in range(20):
        tokens = [[stored(app, basket=[1])] if visitors else [] for _ in range(4)]
        answers = at_once(
            *[lambda token=token: app.get("/sign_in?key=key", *token) for token in tokens]
        )
        assert [getattr(answer, "status_code", answer) for answer in answers] == [200] * 4
        (info,) = app.manager.of_user("ann")
        found = [app.manager.load(token_of(answer)) for answer in answers]
        assert [session.handle for session in found if session is not None] == [info.handle]


def test_one_user_proving_who_they_are_in_four_tabs_at_once_is_no_error(
    database_url: str, make_app: MakeApp
) -> None:
    """R3, R8, R9: one renews the session, the others start afresh, and all but one end."""
    create_table(database_url)
    app = make_app(VIEWS, url=database_url, max_per_user="1")
    token = token_of(app.get("/sign_in?key=key"))
    for _ in range(20):
        answers = at_once(*[lambda: app.get("/sign_in?key=key", token)] * 4)  # noqa: B023  # run before it changes
        assert [getattr(answer, "status_code", answer) for answer in answers] == [200] * 4
        (info,) = app.manager.of_user("ann")
        live = [each for each in map(token_of, answers) if app.manager.load(each) is not None]
        (token,) = live
        session = app.manager.load(token)
        assert session is not None
        assert session.handle == info.handle
