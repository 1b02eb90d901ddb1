"""What is kept and logged of a session and its client."""

import logging
import secrets
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from pprint import pformat
from typing import Final

import pytest
from msgspec import Struct
from msgspec.structs import replace
from pyramid.request import Request
from rich.pretty import pretty_repr
from sqlalchemy import select

from myapp import sessions
from myapp.sessions.core.codec import Content, Proof
from myapp.sessions.core.draft import Draft
from myapp.sessions.core.events import SessionEnded
from myapp.sessions.core.saved import Saved
from myapp.sessions.core.saving import Save
from myapp.sessions.core.session import Session
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.core.state import Absorbed, Intent, Loaded, Origin, SignIn, State
from myapp.sessions.core.store import Ending
from myapp.sessions.core.token import digest
from myapp.sessions.moving.links import Link
from myapp.sessions.sql.model import table
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing import memory_manager
from myapp.sessions.testing.contract import a_session
from myapp.sessions.web.client import client_of
from myapp.sessions.web.scope import RequestTransaction, Scope
from myapp.settings import read_application_settings
from tests.sessions.app import token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.views import VIEWS

PACKAGE: Final = "myapp.sessions."


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


def prints_of(value: object) -> str:
    """A value as programs print one: a log, a debugger, a traceback with its local variables."""
    return "\n".join([repr(value), f"{value}", pformat(value), pretty_repr(value)])


def test_no_record_shows_a_secret(sqlite_url: str) -> None:
    """R6: to repr, pprint or rich: no token, no digest beyond 8 digits, no data, no CSRF token."""
    marked = {"data": b"DATA", "generation": b"DATA" * 8}
    key = digest("session", "T" * 43)
    row = replace(a_session(), digest=key, **marked)
    content = Content(values={"key": "DATA"}, flash={"": [["id", "DATA"]]}, csrf="DATA")
    manager = memory_manager()
    loaded = Loaded(origin=Origin.LIVE, token="T" * 43, row=row, content=content, rivals=(key,))
    sign_in = SignIn(user_id="ann", generation=b"DATA" * 8, at=1, again=False)
    ending = Ending(key, "revoked", 1, b"DATA")
    intent = Intent(token="T" * 43, sign_in=sign_in, absorb=(Absorbed(row, b"DATA", b"DATA"),))
    state = State(kind=manager.kind, source=None, loaded=loaded, content=content, intent=intent)
    saved = Saved(loaded=loaded, endings=(ending,), left=intent)
    draft = Draft(manager.kind.codec, content, content, row, intent.absorb, b"DATA", content)
    records = [
        *(row, content, loaded, sign_in, ending, intent, *intent.absorb, state, saved, draft),
        Save(manager.kind, state, loaded, intent, manager.store, draft, row, None),
        RequestTransaction(saved={"session": saved}, ended={key}),
        Scope(states={"session": state}, sessions={"s": Session(state)}),
        Proof(1, "password"),
        Link("beaker", "h"),
        SessionEnded(manager="session", reason="revoked", handle="h", request=Request.blank("/")),
    ]
    assert {type(record) for record in records} >= set(all_structs())
    for record in (*records, {"record": [records]}):
        shown = prints_of(record)
        for secret in ("T" * 43, "DATA", repr(key)[2:12], key.hex()[:9]):
            assert secret not in shown


def all_structs() -> Iterator[type]:
    """Every record of the package that msgspec makes."""
    for found in walk_packages(sessions.__path__, PACKAGE):
        for each in vars(import_module(found.name)).values():
            ours = isinstance(each, type) and each.__module__ == found.name
            if ours and issubclass(each, Struct):
                yield each


def test_no_setting_shows_a_password() -> None:
    """R6: a URL may hold one; what was read of the ini file holds the text as well."""
    given = {"session.url": "mysql://ann:PASS@host/db", "sqlalchemy.url": "mysql://ann:PASS@h/db"}
    ours, theirs = read_session_settings(given, {}), read_application_settings(given, {})
    for each in (ours, ours.reading, theirs, theirs.reading, [theirs.reading.given]):
        assert "PASS" not in prints_of(each)


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


@pytest.mark.parametrize(
    ("address", "recorded"),
    [
        ("203.0.113.77", "203.0.113.77"),
        ("203.0.113.077", None),
        ("203.0.113.77\n", None),
        ("203.0.113.77\0", None),
        ("203.0.113", None),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("\ud800", None),
        ("", None),
    ],
)
def test_an_address_is_recorded_in_one_spelling(address: str, recorded: str | None) -> None:
    """I11: and nothing else is, such as the name of a Unix socket."""
    assert client_of({"REMOTE_ADDR": address}, "full").address == recorded
