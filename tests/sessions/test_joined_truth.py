"""The same within the request's transaction: cookies that follow the row, and merged sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPInternalServerError
from pyramid.request import Request
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session as DbSession

from myapp.database import create_database_engine
from myapp.sessions import SessionEnded, get_manager
from tests.conftest import DATABASES, STRICT_MARIADB
from tests.sessions.app import App, create_table
from tests.sessions.conftest import MakeApp
from tests.sessions.meanwhile import (
    contents_of,
    in_minutes,
    left_of,
    max_age_of,
    meanwhile,
    stored,
)
from tests.sessions.views import Heard

pytestmark = pytest.mark.parametrize("database_url", [*DATABASES, STRICT_MARIADB], indirect=True)

Serving = Callable[..., App]


@pytest.fixture
def serving(database_url: str, make_app: MakeApp, heard: Heard) -> Iterator[Serving]:
    """An application with pyramid_tm and data of its own in the same database."""
    create_table(database_url)
    engine = create_database_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY)"))

    def dbsession(request: Request) -> DbSession:
        session = DbSession(engine)
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def configure(config: Configurator) -> None:
        heard(config)
        config.add_settings({"tm.manager_hook": "pyramid_tm.explicit_manager"})
        config.add_settings({"tm.annotate_user": "false"})
        config.include("pyramid_tm")
        config.add_request_method(dbsession, "dbsession", reify=True)

    yield lambda **views: make_app(views, url=database_url, configure=configure)
    engine.dispose()


def look_at_notes(request: Request) -> None:
    """Begin the transaction with a snapshot, where that does not forbid SQLite to write later."""
    connection: Connection = request.dbsession.connection()
    if connection.dialect.name != "sqlite":
        count_notes(request)


def count_notes(request: Request) -> int:
    return int(request.dbsession.scalar(text("SELECT count(*) FROM notes")))


def write_note(request: Request) -> None:
    request.dbsession.execute(text("INSERT INTO notes (id) SELECT count(*) FROM notes"))


def notes(request: Request) -> Any:
    return str(count_notes(request))


def test_the_cookie_follows_the_row_that_was_committed(serving: Serving) -> None:
    """R5, S6, S4: moved by another request after the transaction's snapshot was taken."""

    def view(request: Request) -> None:
        look_at_notes(request)
        len(request.session)
        with meanwhile(request) as other:
            other.deadline = in_minutes(app, 10)
            other["theirs"] = 1
        request.session.renew()
        write_note(request)

    app = serving(view=view, notes=notes)
    response = app.get("/view", stored(app, key=1))
    left = left_of(app, response)
    assert 590 <= left <= 600
    assert max_age_of(response) in (left, left + 1)
    assert app.get("/notes").text == "1"


@pytest.mark.parametrize("fails", [False, True])
def test_a_merge_is_part_of_the_transaction(serving: Serving, heard: Heard, fails: bool) -> None:
    """I4, S6: what the other session has become is taken at the commit, or nothing at all."""

    def view(request: Request) -> None:
        look_at_notes(request)
        assert request.session.merge(theirs)
        with get_manager(request.registry).session(theirs) as other:
            other["cart"].append(2)
        write_note(request)
        if fails:
            raise HTTPInternalServerError

    app = serving(view=view, notes=notes)
    ours, theirs = stored(app, mine=1), stored(app, cart=[1])
    assert app.get("/view", ours).status_code == (500 if fails else 200)
    ended = [event.reason for event in heard.events if isinstance(event, SessionEnded)]
    if fails:
        assert contents_of(app, ours) == {"mine": 1}
        assert contents_of(app, theirs) == {"cart": [1, 2]}
        assert ended == []
    else:
        assert contents_of(app, ours) == {"mine": 1, "cart": [1, 2]}
        assert contents_of(app, theirs) is None
        assert ended == ["merged"]
    assert app.get("/notes").text == ("0" if fails else "1")


def test_what_was_merged_and_ended_meanwhile_is_not_committed(
    serving: Serving, heard: Heard
) -> None:
    """I4, S6, S3: the transaction's snapshot still has it, which counts for nothing."""

    def view(request: Request) -> None:
        look_at_notes(request)
        assert request.session.merge(theirs)
        with get_manager(request.registry).session(theirs) as other:
            other.sign_out()
        request.session["more"] = 1
        write_note(request)

    app = serving(view=view, notes=notes)
    ours, theirs = stored(app, mine=1, both="ours"), stored(app, both="theirs", secret=1)
    assert app.get("/view", ours).status_code == 200
    assert contents_of(app, ours) == {"mine": 1, "both": "ours", "more": 1}
    assert "merged" not in [e.reason for e in heard.events if isinstance(e, SessionEnded)]
    assert app.get("/notes").text == "1"
