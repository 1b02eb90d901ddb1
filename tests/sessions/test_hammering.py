"""Many requests of one session, or of one user, at once: none is an error, nothing is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pyramid.request import Request

from myapp.sessions.testing.contract import at_once
from tests.sessions.app import App, create_table, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.meanwhile import contents_of, stored

THREADS = 16
ROUNDS = 4


@pytest.fixture
def app(database_url: str, make_app: MakeApp) -> App:
    """Views that meet once each has loaded the session, so that all of them save one version."""
    create_table(database_url)
    barrier = threading.Barrier(THREADS)

    def meet(request: Request) -> None:
        len(request.session)
        barrier.wait(timeout=20)

    def write(request: Request) -> None:
        meet(request)
        request.session[request.params["key"]] = "x" * 200

    def nest(request: Request) -> None:
        meet(request)
        request.session.setdefault(request.params["key"], []).append({"a": [1]})

    def flash(request: Request) -> None:
        meet(request)
        request.session.flash(request.params["key"])

    def count(request: Request) -> None:
        meet(request)
        request.session["count"] += 1

    views = {"write": write, "nest": nest, "flash": flash, "count": count}
    return make_app(views, url=database_url)


def hammer(app: App, path: str, token: str) -> list[Any]:
    """Each thread sends its requests one after the other; the keys that were acknowledged."""
    done: list[str] = []

    def requests(thread: int) -> None:
        for number in range(ROUNDS):
            key = f"{thread}.{number}"
            response = app.get(f"/{path}?key={key}", token)
            assert response.status_code == 200, response
            done.append(key)

    # `at_once` answers what was raised, the barrier's own complaints after the first one too.
    failed = at_once(*[lambda thread=thread: requests(thread) for thread in range(THREADS)])
    assert [error for error in failed if error is not None] == []
    assert len(done) == THREADS * ROUNDS
    return done


@pytest.mark.parametrize("path", ["write", "nest"])
def test_every_key_that_was_acknowledged_is_there(app: App, path: str) -> None:
    """S4: sixteen requests that all loaded one version, again and again."""
    token = stored(app, key=1)
    written = hammer(app, path, token)
    present = contents_of(app, token)
    assert present is not None
    assert present.keys() == {"key", *written}


def test_no_message_is_lost_and_one_key_is_no_error(app: App) -> None:
    """S4: each message has an id of its own; of a key that all change, one value stays."""
    token = stored(app, count=0)
    flashed = hammer(app, "flash", token)
    hammer(app, "count", token)
    with app.manager.session(token) as session:
        assert sorted(session.peek_flash()) == sorted(flashed)
        assert 1 <= session["count"] <= THREADS * ROUNDS


def test_a_lock_in_the_midst_of_it_is_saved_too(app: App) -> None:
    """S13, S4: who does not ask for the lock does not wait for it, and costs its holder nothing."""
    token = stored(app, count=0)

    def locked() -> None:
        for _ in range(ROUNDS):
            with app.manager.session(token) as session, session.lock(20):
                session["locked"] = session.get("locked", 0) + 1

    def both() -> list[Any]:
        return at_once(locked, locked, lambda: hammer(app, "write", token))

    first, second, written = both()
    assert (first, second) == (None, None)
    present = contents_of(app, token)
    assert present is not None
    assert present["locked"] == 2 * ROUNDS
    assert set(written) <= present.keys()


def test_one_user_signing_in_twice_at_once_is_no_error(
    database_url: str, make_app: MakeApp
) -> None:
    """R8, S7: each sign-in ends what is too much, and meets the other one doing the same."""
    create_table(database_url)
    app = make_app(
        {"in": lambda request: request.session.sign_in("ann")},
        url=database_url,
        max_per_user="1",
    )
    for _ in range(20):
        answers = at_once(*[lambda: app.get("/in")] * 2)
        assert [getattr(answer, "status_code", answer) for answer in answers] == [200, 200]
        (info,) = app.manager.of_user("ann")
        live = [app.manager.load(token_of(answer)) for answer in answers]
        assert [session.handle for session in live if session is not None] == [info.handle]
