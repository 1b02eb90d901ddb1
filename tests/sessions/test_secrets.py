"""What is kept and logged of a session and its client."""

import logging
import secrets

import pytest
from sqlalchemy import select

from myapp.sessions.core.token import digest
from myapp.sessions.sql.model import table
from myapp.sessions.sql.store import SqlStore
from tests.sessions.app import token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.views import VIEWS


def test_the_table_holds_no_token(make_app: MakeApp) -> None:
    """R6: a stolen dump, or a digest sent as a cookie, opens nothing."""
    app = make_app(VIEWS)
    token = token_of(app.get("/sign_in"))
    (row,) = app.rows()
    assert token.encode() not in repr(row).encode()
    for stolen in (row.digest.hex(), row.handle, row.digest.hex()[:43]):
        assert app.get("/who", stolen).text == "nobody"


def test_tokens_are_never_logged(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    """R6: not even with SQL's echo on; a digest by its first eight digits at most."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)  # which is echo=True
    try:
        app = make_app(VIEWS)
        unknown = secrets.token_urlsafe(32)
        app.get("/show", unknown)
        tokens = [unknown, token_of(app.get("/set"))]
        tokens.append(token_of(app.get("/sign_in", tokens[-1])))
        app.get("/end", tokens[-1])
        # The store's own statements go past that log, so somebody else looks.
        assert isinstance(app.manager.store, SqlStore)
        with app.manager.store.engine.connect() as connection:
            of_token = table.c.digest == digest("session", tokens[-1])
            connection.execute(select(table.c.digest).where(of_token)).all()
    finally:
        logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    assert "FROM sessions" in caplog.text
    for token in tokens:
        assert token not in caplog.text
        assert digest("session", token).hex()[:9] not in caplog.text
        assert repr(digest("session", token)[:5])[2:-1] not in caplog.text


@pytest.mark.parametrize(
    ("record", "address", "agent"),
    [
        ("full", "203.0.113.77", "Lynx/2.9 \ufffd<b>" + "x" * 242),
        ("shortened", "203.0.113.0", "Lynx/2.9 \ufffd<b>" + "x" * 51),
        ("none", None, None),
    ],
)
def test_the_client_is_recorded_as_far_as_allowed(
    make_app: MakeApp, record: str, address: str | None, agent: str | None
) -> None:
    """I11: truncated, without control characters; never what X-Forwarded-For says (ASVS 4.1.3)."""
    app = make_app(VIEWS, record_client=record)
    response = app.get(
        "/sign_in",
        REMOTE_ADDR="203.0.113.77",
        HTTP_X_FORWARDED_FOR="198.51.100.1",
        HTTP_USER_AGENT="Lynx/2.9 \n<b>" + "x" * 1_000_000,
    )
    row = app.manager.store.find("session", app.rows()[0].handle)
    assert row is not None
    assert token_of(response)
    assert (row.address, row.user_agent) == (address, agent)
