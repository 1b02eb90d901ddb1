"""What visitors and programs get when something goes wrong."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from psycopg.errors import SerializationFailure, UniqueViolation
from pymysql.err import OperationalError as MySQLError
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request
from sqlalchemy import create_engine, text
from webtest import TestApp

import myapp
from myapp.database import is_lost_race
from myapp.models.retry import mark_retryable_errors
from myapp.sessions import SessionUnavailable, StoreUnavailable
from tests.functional.visitors import visitor

JSON = {"Accept": "application/json"}


def broken_session(request: Request) -> Any:
    """A session whose every use fails, as with a database that is down."""
    raise SessionUnavailable(StoreUnavailable("gone", retry_after=7))


def unexpected(request: Request) -> Any:
    """A view with a mistake."""
    raise RuntimeError("the password is hunter2")


def forbidden(request: Request) -> Any:
    """A view that does not let one in."""
    raise HTTPForbidden("for reasons of our own")


@pytest.fixture
def broken(app: Any) -> Callable[[str, Any], None]:
    """Puts another view at an address of the running application."""

    def put(route: str, view: Any) -> None:
        config = Configurator(registry=app.registry)
        config.add_view(view, route_name=route, request_method="GET")
        config.commit()

    return put


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


def test_a_forbidden_page_says_so_without_the_reason(
    testapp: TestApp, broken: Callable[[str, Any], None]
) -> None:
    """403."""
    broken("home", forbidden)
    page = testapp.get("/", status=403)
    assert page.html.h1.get_text() == "Not for you"
    assert "reasons" not in page


def test_a_mistake_of_ours_is_logged_and_not_shown(
    testapp: TestApp, broken: Callable[[str, Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    """500: the traceback is in the log and nothing of it on the page."""
    broken("home", unexpected)
    with caplog.at_level(logging.ERROR, "myapp.views.errors"):
        page = testapp.get("/", status=500)
    assert "hunter2" not in page
    assert page.html.h1.get_text() == "That went wrong"
    assert "hunter2" in caplog.text
    assert "GET / failed" in caplog.text
    assert caplog.text.count("Traceback") == 1


def test_an_error_page_that_is_broken_itself_is_replaced(
    testapp: TestApp,
    broken: Callable[[str, Any], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake in the frame of all pages must not hide the first one."""
    broken("home", unexpected)
    monkeypatch.setattr("myapp.views.errors.PAGE", "myapp:templates/missing.jinja2")
    page = testapp.get("/", status=500)
    assert page.html.h1.get_text() == "That went wrong"


@pytest.mark.parametrize("path", ["/", "/try"])
def test_pages_of_a_session_that_is_away_ask_for_patience(
    app: Any, testapp: TestApp, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """L8: 503 with Retry-After, and a page that needs no session itself."""
    factory = "pyramid.request.Request.session"
    monkeypatch.setattr(factory, property(broken_session), raising=False)
    page = testapp.get(path, status=503)
    assert page.headers["Retry-After"] == "7"
    assert page.html.h1.get_text() == "Back in a moment"
    assert "Set-Cookie" not in page.headers


def test_a_session_that_grows_too_large_is_refused_politely(settings: dict[str, str]) -> None:
    """S10: 413 with a page, and the session as it was."""
    app = myapp.main({}, **settings, **{"session.max_size": "1000"})
    testapp = visitor(app)
    form = testapp.get("/try").forms[0]
    form["value"] = "v" * 1500
    page = form.submit(status=413)
    assert page.html.h1.get_text() == "Too much"
    assert "Nothing is stored" in testapp.get("/")


def test_a_form_without_a_token_is_refused_and_leaves_no_row(app: Any, testapp: TestApp) -> None:
    """ASVS 3.5.1: 400 with a friendly page; a robot's stray POST starts no session."""
    page = testapp.post("/try", {"csrf_token": "guess", "key": "a"}, status=400)
    assert page.html.h1.get_text() == "This form has expired"
    assert "Set-Cookie" not in page.headers
    with app.registry["dbengine"].connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sessions")).scalar_one() == 0


def test_a_token_of_another_session_is_refused(app: Any, testapp: TestApp) -> None:
    """ASVS 3.5.1: the token is bound to the session."""
    stolen = visitor(app).get("/try").forms[0]["csrf_token"].value
    testapp.get("/try")
    testapp.post("/try/count", {"csrf_token": stolen}, status=400)


@pytest.mark.parametrize(
    "header", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_from_another_site_is_refused(testapp: TestApp, header: dict[str, str]) -> None:
    """ASVS 3.5.1: even with the right token."""
    token = testapp.get("/try").forms[0]["csrf_token"].value
    page = testapp.post("/try/count", {"csrf_token": token}, headers=header, status=400)
    assert page.html.h1.get_text() == "This form has expired"


@pytest.mark.parametrize("address", ["/%FF", "/?key=%FF"])
def test_an_address_that_is_no_text_is_the_clients_mistake(testapp: TestApp, address: str) -> None:
    """Junk is a 400, never a 500."""
    page = testapp.get(address, status=400)
    assert page.html.h1.get_text() == "That can't be read"


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "application/x-www-form-urlencoded; charset=nope"]
)
def test_a_form_that_is_not_formed_well_is_the_clients_mistake(testapp: TestApp, kind: str) -> None:
    """Junk is a 400, never a 500, before anybody looks into it."""
    testapp.post("/try", b"junk", headers={"Content-Type": kind}, status=400)


def test_lost_races_are_worth_another_attempt() -> None:
    """S12: conflicts and deadlocks of each database, and nothing else."""
    assert is_lost_race(SerializationFailure())
    assert is_lost_race(MySQLError(1213, "Deadlock found"))
    assert is_lost_race(MySQLError(1205, "Lock wait timeout exceeded"))
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
    broken: Callable[[str, Any], None],
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
