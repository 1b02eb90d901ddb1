"""What visitors and programs get when something goes wrong."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from psycopg.errors import SerializationFailure, UniqueViolation
from pymysql.err import OperationalError as MySQLError
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import create_engine, text
from webtest import TestApp

import myapp
from myapp.database import is_lost_race
from myapp.models.retry import mark_retryable_errors
from myapp.sessions import SessionUnavailable, StoreUnavailable
from myapp.sessions.testing import sign_in, stored_session
from tests.functional.pages import rows
from tests.functional.visitors import visitor
from tests.needed import end

JSON = {"Accept": "application/json"}
EVIL = {"Origin": "https://evil.example"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}


def broken_session(request: Request) -> Any:
    """A session whose every use fails, as with a database that is down."""
    raise SessionUnavailable(StoreUnavailable("gone", retry_after=7))


def unexpected(request: Request) -> Any:
    """A view with a mistake."""
    raise RuntimeError("the password is hunter2")


@pytest.fixture
def broken(app: Any) -> Callable[..., None]:
    """Puts another view at an address of the running application."""

    return partial(put_view, app)


def put_view(app: Any, route: str, view: Any, method: str = "GET") -> None:
    """Put another view at an address of a running application."""
    config = Configurator(registry=app.registry)
    config.add_view(view, route_name=route, request_method=method)
    config.commit()


def test_a_wrong_address_has_a_page(testapp: TestApp) -> None:
    """404, in the site's own frame, without a session."""
    page = testapp.get("/nowhere", status=404)
    assert page.html.h1.get_text() == "Nothing here"
    assert page.html.select_one("header .brand")
    assert "Cookie" not in page.headers.get("Vary", "")
    assert "Set-Cookie" not in page.headers


def test_programs_get_the_error_as_json(testapp: TestApp) -> None:
    """Whoever prefers JSON gets it, under the same status."""
    answer = testapp.get("/nowhere", headers=JSON, status=404)
    assert answer.content_type == "application/json"
    assert answer.json["status"] == 404
    assert answer.json["error"] == "Nothing here"
    assert "Accept" in answer.headers["Vary"]


def test_a_mistake_of_ours_is_logged_and_not_shown(
    testapp: TestApp, broken: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """500: the traceback is in the log and nothing of it on the page."""
    broken("home", unexpected)
    with caplog.at_level(logging.ERROR, "myapp.views.errors"):
        page = testapp.get("/", status=500)
    assert "hunter2" not in page
    assert page.html.h1.get_text() == "Something went wrong"
    assert "hunter2" in caplog.text
    assert "GET / failed" in caplog.text
    assert caplog.text.count("Traceback") == 1


def test_an_error_page_that_is_broken_itself_is_replaced(
    testapp: TestApp,
    broken: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake in the frame of all pages must not hide the first one."""
    broken("home", unexpected)
    monkeypatch.setattr("myapp.views.errors.PAGE", "myapp:templates/missing.jinja2")
    page = testapp.get("/", status=500)
    assert page.html.h1.get_text() == "Something went wrong"


def test_pages_of_a_session_that_is_away_ask_for_patience(
    app: Any, testapp: TestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L8: 503 with Retry-After, and a page that needs no session itself and leads back here."""
    factory = "pyramid.request.Request.session"
    monkeypatch.setattr(factory, property(broken_session), raising=False)
    page = testapp.get("/?page=2", status=503)
    # An empty address is that of the page itself.
    assert page.html.find("a", string="Try again")["href"] == ""
    assert page.headers["Retry-After"] == "7"
    assert page.html.h1.get_text() == "Back in a moment"
    assert "Set-Cookie" not in page.headers


def test_what_was_sent_is_not_tried_again_by_a_link(
    testapp: TestApp, broken: Callable[..., None]
) -> None:
    """L8: a link would ask for the page, and not send the form."""
    broken("home", broken_session, "POST")
    page = testapp.post("/", status=503)
    assert page.html.find("a", string="Try again") is None


def fills(request: Request) -> Any:
    """A view that stores too much."""
    request.session["key"] = "v" * 1500
    return request.response


def test_a_session_that_grows_too_large_is_refused_politely(
    settings: dict[str, str],
) -> None:
    """S10: 413 with a page, and the session as it was."""
    app = myapp.main({}, **settings, **{"session.max_size": "1000"})
    put_view(app, "home", fills, "POST")
    testapp = visitor(app)
    page = testapp.post("/", status=413)
    assert page.html.h1.get_text() == "Too much"
    assert "You have no session yet" in testapp.get("/")
    end(app)


def saves(request: Request) -> Any:
    """A view that changes something."""
    request.session["saved"] = True
    return request.response


@pytest.mark.parametrize("header", [{"Origin": ""}, {"Origin": "null"}, EVIL, CROSS_SITE])
def test_a_form_from_elsewhere_is_refused_and_leaves_no_row(
    app: Any, testapp: TestApp, broken: Callable[..., None], header: dict[str, str]
) -> None:
    """ASVS 3.5.1: 400 with a friendly page; a robot's stray POST starts no session."""
    broken("home", saves, "POST")
    page = testapp.post("/", headers=header, status=400)
    assert page.html.h1.get_text() == "This form has expired"
    assert "Set-Cookie" not in page.headers
    assert rows(app) == 0
    testapp.post("/", status=200)
    assert rows(app) == 1


def test_a_token_of_another_session_is_refused(
    app: Any, testapp: TestApp, broken: Callable[..., None]
) -> None:
    """ASVS 3.5.1: with a user the token is needed, and bound to the session."""
    broken("home", saves, "POST")
    tokens = []
    for each in (testapp, visitor(app)):
        sign_in(each, "ann")
        with stored_session(each) as session:
            tokens.append(session.get_csrf_token())
    for wrong in ({}, {"csrf_token": tokens[1]}):
        testapp.post("/", wrong, status=400)
    for header in (EVIL, CROSS_SITE):
        testapp.post("/", {"csrf_token": tokens[0]}, header, status=400)
    testapp.post("/", {"csrf_token": tokens[0]}, status=200)


@pytest.mark.parametrize("address", ["/%FF", "/?key=%FF"])
def test_an_address_that_is_no_text_is_the_clients_mistake(testapp: TestApp, address: str) -> None:
    """Junk is a 400, never a 500."""
    page = testapp.get(address, status=400)
    assert page.html.h1.get_text() == "Bad request"


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "application/x-www-form-urlencoded; charset=nope"]
)
def test_a_form_that_is_not_formed_well_is_the_clients_mistake(
    testapp: TestApp, kind: str, broken: Callable[..., None]
) -> None:
    """Junk is a 400, never a 500, before anybody looks into it."""
    broken("home", saves, "POST")
    testapp.post("/", b"junk", headers={"Content-Type": kind}, status=400)


def test_lost_races_are_worth_another_attempt() -> None:
    """S12: conflicts and deadlocks of each database, and nothing else."""
    assert is_lost_race(SerializationFailure())
    assert is_lost_race(MySQLError(1213, "Deadlock found"))
    assert is_lost_race(MySQLError(1205, "Lock wait timeout exceeded"))
    assert is_lost_race(MySQLError(1305, "SAVEPOINT sa_savepoint_1 does not exist"))
    assert not is_lost_race(MySQLError(1305, "FUNCTION shop.total does not exist"))
    assert not is_lost_race(UniqueViolation())
    assert not is_lost_race(MySQLError(1062, "Duplicate entry"))
    assert not is_lost_race(sqlite3.IntegrityError("UNIQUE constraint failed"))


def locked_view(path: Path, attempts: list[int]) -> Callable[[Request], Any]:
    """A view that meets a locked database the first time, and writes the second."""

    def view(request: Request) -> Any:
        attempts.append(1)
        if len(attempts) > 1:
            return request.response
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
        mark_retryable_errors(engine)
        try:
            with closing(sqlite3.connect(path)) as other, engine.connect() as mine:
                other.execute("CREATE TABLE lock (id INTEGER)")
                other.execute("INSERT INTO lock VALUES (1)")
                mine.execute(text("INSERT INTO lock VALUES (2)"))
        finally:
            engine.dispose()

    return view


def test_a_locked_database_is_tried_again_without_a_word(
    testapp: TestApp,
    broken: Callable[..., None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """S12: the visitor sees the second attempt, and the log no failure."""
    path, attempts = tmp_path / "locked.sqlite", list[int]()
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (id INTEGER)")
    broken("home", locked_view(path, attempts))
    assert testapp.get("/").status_int == 200
    assert len(attempts) == 2
    assert "failed" not in caplog.text
