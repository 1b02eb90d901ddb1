"""The page to try sessions on."""

from __future__ import annotations

from typing import Any

from webtest import TestApp


def send(testapp: TestApp, action: str, **fields: str) -> Any:
    """Fill in the form that goes to this address, send it, and go where that leads."""
    forms = testapp.get("/try").forms.values()
    form = next(form for form in forms if form.action == action)
    for name, value in fields.items():
        form[name] = value
    return form.submit(status=303).follow()


def test_a_value_is_kept(testapp: TestApp) -> None:
    """It is on each page until the session is forgotten."""
    assert "You have no session yet" in testapp.get("/try")
    assert "a &lt;quince&gt;" in send(testapp, "/try", key="fruit", value="a <quince>")
    assert "fruit" in testapp.get("/")
    send(testapp, "/try/forget")
    assert "fruit" not in testapp.get("/")


def test_a_message_is_shown_once(testapp: TestApp) -> None:
    """On the next page, and on no other."""
    assert "Hello" in send(testapp, "/try/flash", message="Hello")
    assert "Hello" not in testapp.get("/")


def test_a_form_from_another_site_is_refused(testapp: TestApp) -> None:
    """Nothing is kept."""
    testapp.post("/try", {"key": "a"}, {"Origin": "https://evil.example"}, status=400)
    assert testapp.cookies == {}
