"""The frame of all pages, and the home page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from webtest import TestApp

from myapp.sessions.testing import sign_in, stored_session
from myapp.views.contents import remaining
from tests.functional.pages import contents, rows


def test_a_newcomer_at_the_home_page_gets_neither_row_nor_cookie(
    app: Any, testapp: TestApp
) -> None:
    """S2: reading creates nothing."""
    page = testapp.get("/")
    assert "You have no session yet" in page
    assert not page.headers.getall("Set-Cookie")
    assert rows(app) == 0


def test_the_home_page_shows_what_the_session_holds(testapp: TestApp) -> None:
    """What a visitor stored is text, never markup."""
    with stored_session(testapp) as session:
        session.update(foo="<b>bar</b>", count=1)
    page = testapp.get("/")
    assert page.html.select_one("main b") is None
    assert contents(page) == {"foo": ("<b>bar</b>", "str"), "count": ("1", "int")}


def test_a_message_is_shown_once_and_has_the_focus(testapp: TestApp) -> None:
    """A flash message appears on the next page, whichever that is, and on no other."""
    with stored_session(testapp) as session:
        session.flash("Hello <you>")
        session.flash("Again")
    messages = testapp.get("/").html.select(".messages .message")
    assert [message.get_text() for message in messages] == ["Hello <you>", "Again"]
    assert ["autofocus" in message.attrs for message in messages] == [True, False]
    assert all(message["tabindex"] == "-1" for message in messages)
    assert "Hello" not in testapp.get("/")


def test_the_navigation_is_on_every_page_and_asks_for_no_session(testapp: TestApp) -> None:
    """L1: on an error page too; the current page is marked."""
    sign_in(testapp, "ann")
    for path, marked in (("/", ["Home"]), ("/nowhere", [])):
        page = testapp.get(path, expect_errors=True)
        links = page.html.select("nav a")
        assert links[0].get_text() == "Home"
        assert [link.get_text() for link in links if "aria-current" in link.attrs] == marked
    assert "Cookie" not in page.headers.get("Vary", "")


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=7), "7 days"),
        (timedelta(days=7) - timedelta(milliseconds=5), "7 days"),
        (timedelta(days=7) - timedelta(minutes=20), "7 days"),
        (timedelta(days=6, hours=10), "6 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=23, minutes=40), "1 day"),
        (timedelta(hours=13), "13 hours"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(minutes=59, seconds=59), "1 hour"),
        (timedelta(minutes=40), "40 minutes"),
        (timedelta(seconds=60), "1 minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(seconds=-5), "less than a minute"),
    ],
)
def test_the_time_left_is_rounded(left: timedelta, words: str) -> None:
    """I6: a week that began a moment ago reads as a week."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert remaining(now + left, now) == words
