"""What each kind of request costs in statements and round trips, heard at the database."""

import pytest
from sqlalchemy import make_url

from harness.wire import Tap, counting
from tests.sessions.app import App, Clock, create_table, token_of
from tests.sessions.conftest import MakeApp

TRANSACTION = {"BEGIN", "COMMIT", "ROLLBACK", "SET", "START"}

VIEWS = {
    "untouched": lambda request: "hello",
    "read": lambda request: request.session.get("key"),
    "set": lambda request: request.session.update(key="value", cart=[1]),
    "same": lambda request: request.session.update(key="value"),
    "add": lambda request: request.session["cart"].append(2),
    "renew": lambda request: request.session.renew(),
    "end": lambda request: request.session.invalidate(),
    "csrf": lambda request: request.session.csrf_token,
}


@pytest.fixture
def app(tap: Tap, database_url: str, make_app: MakeApp) -> App:
    create_table(database_url)
    app = make_app(VIEWS, url=tap.url, idle_timeout="1h", sweep_interval="off")
    app.get("/set", *[token_of(app.get("/set"))])  # the driver's first questions are asked
    return app


def stored(app: App) -> str:
    return token_of(app.get("/set"))


@pytest.mark.parametrize("path", ["/untouched", "/untouched?with=cookie"])
def test_an_untouched_session_asks_nothing(app: App, tap: Tap, path: str) -> None:
    """L1: no query, no header, no cookie, with or without a cookie."""
    tokens = [stored(app)] if "cookie" in path else []
    with counting(tap) as wire:
        response = app.get(path, *tokens)
    assert (wire.statements, wire.round_trips) == ([], 0)
    assert not {"Set-Cookie", "Vary", "Cache-Control"} & set(response.headers)


def test_reading_without_a_cookie_asks_nothing(app: App, tap: Tap) -> None:
    """L2: there is nothing to look up."""
    with counting(tap) as wire:
        app.get("/read")
    assert (wire.statements, wire.round_trips) == ([], 0)


@pytest.mark.parametrize("token", ["x", "a" * 42, "a" * 44, "é" * 43, "a" * 42 + "=", "a" * 5000])
def test_a_malformed_token_never_reaches_the_database(app: App, tap: Tap, token: str) -> None:
    """L3: what has not the shape of a token is no token."""
    with counting(tap) as wire:
        app.get("/read", token.encode().decode("latin-1"))
    assert (wire.statements, wire.round_trips) == ([], 0)


@pytest.mark.parametrize("path", ["/read", "/same", "/csrf"])
def test_reading_is_one_select_by_primary_key(app: App, tap: Tap, path: str) -> None:
    """L2, S1: one round trip, no BEGIN, no COMMIT; an unchanged session writes nothing."""
    token = stored(app)
    with counting(tap) as wire:
        app.get(path, token)
    assert wire.verbs == ["SELECT"]
    assert wire.round_trips == 1
    assert wire.connections == 0


@pytest.mark.parametrize("path", ["/add", "/set"])
def test_a_change_is_one_update_more(app: App, tap: Tap, path: str) -> None:
    """S3: one statement guarded by the version, without a transaction around it."""
    token = stored(app)
    app.get("/add", token)
    with counting(tap) as wire:
        app.get(path, token)
    assert wire.verbs == ["SELECT", "UPDATE"]
    assert wire.round_trips == 2


def test_the_first_write_is_one_insert(app: App, tap: Tap) -> None:
    """S3: a new session is inserted, without looking first."""
    with counting(tap) as wire:
        app.get("/set")
    assert wire.verbs == ["INSERT"]
    assert wire.round_trips == 1


def test_an_ending_is_one_update_more(app: App, tap: Tap) -> None:
    """R2: the row becomes a marker."""
    token = stored(app)
    with counting(tap) as wire:
        app.get("/end", token)
    assert wire.verbs == ["SELECT", "UPDATE"]
    assert wire.round_trips == 2


def test_a_renewal_is_one_transaction(app: App, tap: Tap) -> None:
    """R1: the old row ends and the new one appears at once: by one statement where that can be.

    On SQLite, which has no round trips, the old one can't keep the handle, and is written anew.
    """
    token = stored(app)
    with counting(tap) as wire:
        app.get("/renew", token)
    renewal = {
        "postgresql": ["WITH"],
        "sqlite": ["BEGIN", "UPDATE", "UPDATE", "INSERT", "COMMIT"],
    }.get(make_url(app.url).get_backend_name(), ["BEGIN", "UPDATE", "INSERT", "COMMIT"])
    assert wire.verbs == ["SELECT", *renewal]
    assert wire.round_trips == 1 + len(renewal)


def test_a_touch_is_one_update_when_it_is_due(app: App, tap: Tap) -> None:
    """S9: and none before."""
    clock = app.manager.kind.clock = Clock()
    token = stored(app)
    clock.forward(59)
    with counting(tap) as wire:
        app.get("/read", token)
    assert wire.verbs == ["SELECT"]
    clock.forward(1)
    with counting(tap) as wire:
        app.get("/read", token)
        app.get("/read", token)
    assert wire.verbs == ["SELECT", "UPDATE", "SELECT"]
    assert wire.round_trips == 3


def test_no_statement_opens_a_transaction_for_itself(app: App, tap: Tap) -> None:
    """L9: autocommit also where a connection comes back from the pool."""
    token = stored(app)
    with counting(tap) as wire:
        for _ in range(3):
            app.get("/read", token)
            app.get("/add", token)
    assert not TRANSACTION & set(wire.verbs)
