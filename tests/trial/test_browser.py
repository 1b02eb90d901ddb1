"""The page to try sessions on, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from harness.processes import ROOT, Pserve

LONG = "k" * 64


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pserve]:
    """The application as a newcomer starts it, with a database of its own, without the toolbar."""
    database = {"DATABASE_URL": f"sqlite:///{tmp_path / 'browser.sqlite'}"}
    with Pserve(
        ROOT / "development.ini", tmp_path, "pyramid.includes=", environment=database
    ) as pserve:
        yield pserve


def store(page: Page, url: str, key: str, value: str) -> None:
    """Put a value under a key, by the form."""
    page.goto(f"{url}/try")
    page.fill("#key", key)
    page.fill("#value", value)
    page.click("form[action='/try'] button")


def test_a_forgotten_session_leaves_no_cookie(
    running: Pserve, page: Page, context: BrowserContext
) -> None:
    """R2: the browser takes the deletion, and what was stored is gone."""
    store(page, running.url, "foo", "bar")
    page.click("form[action='/try/forget'] button")
    assert context.cookies() == []
    page.goto(running.url)
    expect(page.locator("main")).not_to_contain_text("bar")


def test_a_message_is_shown_once(running: Pserve, page: Page) -> None:
    """I1: after the redirect, and not again."""
    page.goto(f"{running.url}/try")
    page.fill("#message", "Only once.")
    page.click("form[action='/try/flash'] button")
    expect(page.locator(".messages")).to_contain_text("Only once.")
    page.reload()
    expect(page.locator("main")).not_to_contain_text("Only once.")


def test_the_pages_say_nothing_to_the_console(running: Pserve, page: Page) -> None:
    """ASVS 3.4: the content security policy hinders nothing of our own."""
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    store(page, running.url, "foo", "bar")
    assert problems == []


def test_what_is_told_has_the_focus(running: Pserve, page: Page) -> None:
    """After a form was sent: the message, or the first field in error; without a script."""
    store(page, running.url, "foo", "bar")
    expect(page.locator(".message")).to_be_focused()
    store(page, running.url, " ", "bar")
    expect(page.locator("#key")).to_be_focused()


def test_no_button_is_cut_off(running: Pserve, page: Page) -> None:
    """WCAG 1.4.10: at 320 px, whatever the session holds; the page does not scroll sideways."""
    for key, value in (("foo", "bar"), (LONG, "v" * 300), ("a b c", "some words " * 20)):
        store(page, running.url, key, value)
    for width in (320, 360, 1000):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.querySelector('.scroll').scrollWidth") <= width
        for button in page.locator("button, .button").all():
            box = button.bounding_box()
            frame = button.evaluate(
                "each => (each.closest('.scroll') || document.body).getBoundingClientRect().right"
            )
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= frame
