"""Damaged rows in the way of an old session: its link, and the session that it names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import create_engine, literal, update

from myapp.sessions.core.token import new_handle
from myapp.sessions.moving.links import manager_of_links, write_link
from myapp.sessions.sql.model import table
from tests.sessions.app import App, create_table
from tests.sessions.conftest import MakeApp
from tests.sessions.moving import (
    SIGNED,
    TICKETS,
    deletes_old,
    holding,
    moved,
    old_cookies,
    ours,
    send,
    ticket,
)

ANN = holding({"user": "ann", "cart": [1]})
BOTH = SIGNED | TICKETS | {"moving.from": "signed_cookie auth_tkt"}
VIEWS: dict[str, Any] = {
    "user": lambda request: request.authenticated_userid or "nobody",
    "out": lambda request: request.session.sign_out(),
    "bob": lambda request: request.session.sign_in("bob", generation=b"of bob"),
}


def link(*parts: object) -> bytes:
    return msgspec.msgpack.encode(parts)


NUL = "\0" * 22
DAMAGED: dict[str, dict[str, object]] = {
    "empty": {"data": b""},
    "no MessagePack": {"data": b"\xc1"},
    "cut off": {"data": link("signed_cookie", new_handle(0), True, False)[:-9]},
    "too long": {"data": link("signed_cookie", None, True, False) + b"!"},
    "another structure": {"data": link({"a": 1})},
    "other types": {"data": link(1, 2, 3, 4)},
    "no UTF-8": {"data": b"\x94\xa2\xff\xff\xc0\xc3\xc2"},
    "no handle": {"data": link("signed_cookie", "x", True, False)},
    "a handle that PostgreSQL refuses": {"data": link("signed_cookie", NUL, True, False)},
    "written in a year that there is not": {"created_at": 2**62},
}
KEPT_BY_SQLITE_ALONE: list[dict[str, object]] = [
    {"data": "a text"},
    {"data": 7},
    {"created_at": "then"},
    {"expires_at": "then"},
]


@pytest.fixture
def app(make_app: MakeApp, database_url: str) -> App:
    create_table(database_url)
    return moved(make_app, VIEWS, BOTH, url=database_url)


@pytest.fixture(params=DAMAGED)
def damage(request: pytest.FixtureRequest) -> dict[str, object]:
    return DAMAGED[request.param]


def change(app: App, manager: str, values: dict[str, object]) -> None:
    """Change all rows of a manager, past the types of our columns."""
    engine = create_engine(app.url)
    untyped = {name: literal(value) for name, value in values.items()}
    with engine.begin() as connection:
        connection.execute(update(table).where(table.c.manager == manager).values(untyped))
    engine.dispose()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines about a record that can't be read."""
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    return [line for line in lines if line.startswith("what became of an old session")]


def test_a_damaged_link_opens_nothing(
    app: App, damage: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """O7, L7: it may be of one that was signed out. The old cookie stays; the log says so once."""
    old = old_cookies(ANN)
    assert send(app, "/user", old).text == "ann"
    change(app, manager_of_links("session"), damage)
    for _ in range(2):
        response = send(app, "/user", old)
        assert (response.status_int, response.text) == (200, "nobody")
        assert not response.headers.getall("Set-Cookie")
    (line,) = said(caplog)
    assert line.startswith(
        "what became of an old session of signed_cookie can't be read and was left"
    )
    assert len(app.rows()) == 1


@pytest.mark.parametrize("damage", KEPT_BY_SQLITE_ALONE)
def test_nor_does_a_value_of_another_type(make_app: MakeApp, damage: dict[str, object]) -> None:
    """O7, L7: which SQLite keeps in any column."""
    app, old = moved(make_app, VIEWS, SIGNED), old_cookies(ANN)
    send(app, "/user", old)
    change(app, manager_of_links("session"), damage)
    response = send(app, "/user", old)
    assert (response.status_int, response.text) == (200, "nobody")


def test_nor_does_it_keep_anybody_from_signing_in(app: App, damage: dict[str, object]) -> None:
    """O7: whoever signs in has a session of ours, and signing out ends the old one as well."""
    old = old_cookies(ANN)
    send(app, "/user", old)
    change(app, manager_of_links("session"), damage)
    bob = ours(send(app, "/bob", old))
    assert send(app, "/user", f"{old}; {bob}").text == "bob"
    signed_out = send(app, "/out", f"{old}; {bob}")
    assert signed_out.status_int == 200
    assert deletes_old(signed_out)
    assert send(app, "/user", old).text == "nobody"


def test_another_old_session_beside_it_arrives(app: App, damage: dict[str, object]) -> None:
    """O7: as beside one that can't be read."""
    old = old_cookies(ANN)
    send(app, "/user", old)
    change(app, manager_of_links("session"), damage)
    response = send(app, "/user", f"{old}; {old_cookies(ticket('bob'))}")
    assert response.text == "bob"
    assert deletes_old(response, "auth_tkt")
    assert not deletes_old(response)


def test_a_damaged_link_that_is_over_is_in_nobodys_way(app: App, damage: dict[str, object]) -> None:
    """O7: a session is adopted though there is such a row, which was not swept yet."""
    old = old_cookies(ANN)
    send(app, "/user", old)
    change(app, manager_of_links("session"), {**damage, "expires_at": 1})
    assert send(app, "/user", old).text == "ann"


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x91\xa1a", b"\x91\x81\xa1\xff\x01"])
def test_a_damaged_session_that_a_link_names_opens_nothing(app: App, data: bytes) -> None:
    """O7, L7: as with a cookie of ours."""
    old = old_cookies(ANN)
    mine = ours(send(app, "/user", old))
    change(app, "session", {"data": data})
    for cookies in (old, mine, f"{old}; {mine}"):
        response = send(app, "/user", cookies)
        assert (response.status_int, response.text) == (200, "nobody")


def test_a_link_that_was_damaged_meanwhile_is_written_beside(app: App) -> None:
    """O7: between the look at it and the response."""
    reader = app.router.registry["myapp.sessions.moving"].readers[0]
    arrival = (reader, "key")
    write_link(app.manager.kind, arrival, new_handle(0))
    change(app, manager_of_links("session"), {"data": b"\xc1"})
    write_link(app.manager.kind, arrival, None)
    write_link(app.manager.kind, arrival, new_handle(1))
    assert len(list(app.manager.store.iterate(manager_of_links("session")))) == 2
