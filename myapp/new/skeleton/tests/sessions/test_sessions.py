"""The application keeps sessions."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestApp

from tests.browser import visitor


@pytest.fixture
def settings(settings: dict[str, str]) -> dict[str, str]:
    """The application's, with a page that counts."""
    return {**settings, "pyramid.includes": "tests.sessions.page"}


def test_looking_starts_no_session(testapp: TestApp) -> None:
    """There is no cookie until there is something to remember."""
    assert "Set-Cookie" not in testapp.get("/counted").headers


def test_a_visitor_is_remembered(app: Any, testapp: TestApp) -> None:
    """By a cookie that no script can read; nobody else is taken for that visitor."""
    answer = testapp.post("/counted")
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(answer.headers["Set-Cookie"].split("; "))
    testapp.post("/counted")
    assert testapp.get("/counted").json == 2
    assert visitor(app).get("/counted").json == 0


def test_a_made_up_token_is_not_adopted(testapp: TestApp) -> None:
    """It is nobody's session."""
    testapp.post("/counted")
    (name,) = testapp.cookies
    testapp.set_cookie(name, "a" * len(testapp.cookies[name]))
    assert testapp.get("/counted").json == 0
