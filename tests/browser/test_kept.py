"""The application in a browser: a session is kept, and survives the server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from harness.processes import Pserve

INI = Path(__file__).parents[2] / "development.ini"


def server(folder: Path) -> Pserve:
    """The application as a newcomer starts it, with a database of its own."""
    database = {"DATABASE_URL": f"sqlite:///{folder / 'browser.sqlite'}"}
    return Pserve(INI, folder, "pyramid.includes=tests.keeping", environment=database)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pserve]:
    with server(tmp_path) as pserve:
        yield pserve


def store(page: Page, url: str, value: str) -> None:
    """Put a value under `foo`, by the form."""
    page.goto(f"{url}/kept")
    page.fill("[name=key]", "foo")
    page.fill("[name=value]", value)
    page.click("button")


def test_a_value_is_kept_under_a_protected_cookie(
    running: Pserve, page: Page, context: BrowserContext
) -> None:
    """C3: Chromium takes a Secure cookie from http://localhost, and no script sees it."""
    url = running.url.replace("127.0.0.1", "localhost")
    store(page, url, "<b>bar</b>")
    page.goto(url)
    expect(page.locator("main")).to_contain_text("<b>bar</b>")
    (cookie,) = context.cookies()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    assert page.evaluate("document.cookie") == ""


def test_a_session_outlives_the_server(tmp_path: Path, page: Page, context: BrowserContext) -> None:
    """S3: its value is in the database, and its token in the browser."""
    with server(tmp_path) as first:
        store(page, first.url, "bar")
        first.kill()
    # On another port, which makes no difference to a cookie.
    with server(tmp_path) as second:
        page.goto(second.url)
        expect(page.locator("main")).to_contain_text("bar")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_say_nothing_to_the_console(
    running: Pserve, page: Page, scheme: Literal["light", "dark"]
) -> None:
    """The content security policy hinders nothing of our own."""
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.emulate_media(color_scheme=scheme)
    for path in ("/", "/health"):
        page.goto(running.url + path)
    assert problems == []
