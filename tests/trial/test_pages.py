"""The page to try sessions on."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestApp

from tests.functional.pages import check_page, contents, rows
from tests.functional.visitors import visitor


def send(testapp: TestApp, action: str, status: int = 303, **fields: str) -> Any:
    """Fill in the first form on the page to try sessions that goes to this address; send it."""
    forms = testapp.get("/try").forms.values()
    form = next(form for form in forms if form.action == action)
    for name, value in fields.items():
        form[name] = value
    return form.submit(status=status)


def test_looking_at_the_forms_starts_no_session(app: Any, testapp: TestApp) -> None:
    """A13, S2: neither row nor cookie, and the page says so; the first thing to remember does."""
    page = testapp.get("/try")
    assert "You have no session yet" in page
    assert (page.headers.getall("Set-Cookie"), rows(app)) == ([], 0)
    page = send(testapp, "/try/count").follow()
    assert "You have no session yet" not in page
    assert rows(app) == 1


def test_a_browser_that_hides_where_it_is_gets_the_form_again(app: Any, testapp: TestApp) -> None:
    """A13: with what was typed, as 400, and a token; sent again, it is stored."""
    silent = TestApp(app, extra_environ={**testapp.extra_environ, "HTTP_ORIGIN": ""})
    page = silent.post("/try", {"key": "fruit", "value": "a <quince>"}, status=400)
    assert "Please send it again" in page.html.select_one("[role=alert]").get_text()
    assert "autofocus" in page.html.select_one("[role=alert]").attrs
    assert (rows(app), len(page.headers.getall("Set-Cookie"))) == (1, 1)
    form = next(form for form in page.forms.values() if form.action == "/try")
    assert (form["key"].value, form["value"].value) == ("fruit", "a <quince>")
    assert contents(form.submit(status=303).follow())["fruit"] == ("a <quince>", "str")


@pytest.mark.parametrize("action", ["count", "flash", "remove", "renew", "forget"])
def test_every_button_answers_such_a_browser(app: Any, testapp: TestApp, action: str) -> None:
    """A13: the page again, as 400, with the message that was typed and with the usual key."""
    silent = TestApp(app, extra_environ={**testapp.extra_environ, "HTTP_ORIGIN": ""})
    fields = {"flash": {"message": "Hello"}, "remove": {"key": "gone"}}.get(action, {})
    page = silent.post(f"/try/{action}", fields, status=400)
    assert page.html.find(id="message")["value"] == fields.get("message", "")
    assert page.html.find(id="key")["value"] == "foo"
    assert "autofocus" in page.html.select_one("[role=alert]").attrs


def test_a_form_from_another_site_is_refused(app: Any, testapp: TestApp) -> None:
    """ASVS 3.5.1: with a friendly page, and no row."""
    page = testapp.post("/try", {"key": "a"}, {"Origin": "https://evil.example"}, status=400)
    assert page.html.h1.get_text() == "This form has expired"
    assert rows(app) == 0


def test_the_page_needs_nothing_that_the_policy_forbids(testapp: TestApp) -> None:
    """ASVS 3.4: neither inline style and script nor anything from elsewhere."""
    send(testapp, "/try", value="bar")
    check_page(testapp.get("/try").html)


def test_it_has_its_place_in_the_navigation(testapp: TestApp) -> None:
    """G3: by its own line, on each page; the current one is marked."""
    link = testapp.get("/nowhere", status=404).html.select_one("nav a[href='/try']")
    assert (link.get_text(), link.get("aria-current")) == ("Try it", None)
    assert testapp.get("/try").html.select_one("nav a[href='/try']")["aria-current"] == "page"
    assert testapp.get("/").html.select_one("main a.button[href='/try']")


def test_a_stored_value_is_shown_escaped_on_both_pages(testapp: TestApp) -> None:
    """What a visitor stores is text, never markup."""
    page = send(testapp, "/try", key="foo", value="<b>bar</b>\r\nbaz").follow()
    assert page.html.select_one("main b") is None
    assert contents(page) == {"foo": ("<b>bar</b>\nbaz", "str")}
    assert contents(testapp.get("/")) == contents(page)


def test_foo_is_the_key_to_begin_with(testapp: TestApp) -> None:
    """The classic example needs no typing."""
    send(testapp, "/try", value="bar")
    assert contents(testapp.get("/"))["foo"] == ("bar", "str")


def test_the_counter_counts(testapp: TestApp) -> None:
    """Two presses, two steps, each with its message."""
    send(testapp, "/try/count")
    page = send(testapp, "/try/count").follow()
    assert "Counted to 2." in page
    assert contents(page)["counter"] == ("2", "int")


def test_a_counter_that_holds_a_text_starts_again(testapp: TestApp) -> None:
    """Nobody's own value under that key breaks the page."""
    send(testapp, "/try", key="counter", value="many")
    assert "Counted to 1." in send(testapp, "/try/count").follow()


def test_one_key_is_removed_and_the_others_stay(testapp: TestApp) -> None:
    """The button stands in the row of the key."""
    send(testapp, "/try", key="one", value="1")
    send(testapp, "/try", key="two", value="2")
    page = testapp.get("/try")
    assert page.html.select("tbody form")[0].find("input", {"name": "key"})["value"] == "one"
    page = page.forms[0].submit().follow()
    assert "Removed “one”." in page
    assert list(contents(page)) == ["two"]


def test_a_key_that_is_gone_is_not_an_error(testapp: TestApp) -> None:
    """Two tabs may both show the button."""
    send(testapp, "/try", key="one", value="1")
    form = testapp.get("/try").forms[0]
    form.submit()
    assert "There is no longer anything under “one”." in form.submit().follow()


def test_a_message_is_shown_once(testapp: TestApp) -> None:
    """A flash message appears on the next page, whichever that is, and on no other."""
    answer = send(testapp, "/try/flash", message="Hello <you>")
    assert answer.location == "https://localhost/try"
    page = testapp.get("/")
    assert page.html.select_one(".messages").get_text().strip() == "Hello <you>"
    assert "Hello" not in testapp.get("/")


def test_a_new_token_keeps_the_data_and_voids_the_old(app: Any, testapp: TestApp) -> None:
    """R1: a renewed session goes on under another token."""
    send(testapp, "/try", value="bar")
    old = dict(testapp.cookies)
    page = send(testapp, "/try/renew").follow()
    assert "new token" in page
    assert "foo" in contents(page)
    assert testapp.cookies != old
    thief = visitor(app)
    for name, value in old.items():
        thief.set_cookie(name, value)
    assert "You have no session yet" in thief.get("/")


def test_a_forgotten_session_leaves_nothing(app: Any, testapp: TestApp) -> None:
    """R2: the row ends, the cookie goes, and saying so starts no new session."""
    send(testapp, "/try", value="bar")
    page = send(testapp, "/try/forget").follow()
    assert "Your session is forgotten" in page
    assert testapp.cookies == {}
    assert rows(app) == 0


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"key": " "}, "Enter a key first."),
        ({"key": "k" * 65}, "Use at most 64 characters: this has 65."),
        ({"key": "a\x00b"}, "A key can't contain line breaks or other control characters."),
        ({"value": "v" * 2001}, "Use at most 2,000 characters: this has 2,001."),
    ],
)
def test_what_does_not_fit_comes_back_with_a_complaint(
    testapp: TestApp, fields: dict[str, str], complaint: str
) -> None:
    """Bad input changes nothing, and is shown again with what is wrong."""
    page = send(testapp, "/try", status=422, **fields)
    name = next(iter(fields))
    field = page.html.find(id=name)
    assert field["aria-invalid"] == "true"
    # There a keyboard goes on, and a screen reader begins to read.
    assert [tag.get("id") for tag in page.html.select("[autofocus]")] == [name]
    assert page.html.find(id=field["aria-describedby"]).get_text() == complaint
    assert contents(testapp.get("/")) == {}


def test_the_longest_key_and_value_fit(testapp: TestApp) -> None:
    """The limits themselves are allowed; a line break counts once."""
    value = "v" * 1998 + "\r\nv"
    page = send(testapp, "/try", key="k" * 64, value=value).follow()
    assert contents(page)["k" * 64] == (value.replace("\r", ""), "str")


@pytest.mark.parametrize(("message", "complaint"), [("", "Enter a"), ("m" * 201, "at most 200")])
def test_an_empty_or_endless_message_is_refused(
    testapp: TestApp, message: str, complaint: str
) -> None:
    """The demonstration has its limits too."""
    page = send(testapp, "/try/flash", status=422, message=message)
    assert complaint in page.html.find(id="message-error").get_text()


def test_an_uploaded_file_is_no_value(testapp: TestApp) -> None:
    """A field that should be text and is a file counts as empty."""
    files = [("key", "a.txt", b"x")]
    page = testapp.post("/try", {}, upload_files=files, status=422)
    assert "Enter a key first." in page


def test_no_address_that_changes_something_answers_to_a_link(testapp: TestApp) -> None:
    """ASVS 3.5.3: no state change on GET."""
    for action in ("count", "remove", "flash", "renew", "forget"):
        testapp.get(f"/try/{action}", status=404)
