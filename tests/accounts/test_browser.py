"""The whole story of an account, in a real browser and before a real server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    ViewportSize,
    expect,
)

from harness.processes import ROOT, Pserve
from harness.waiting import wait_until
from tests.accounts.people import ANOTHER, PASSWORD

EMAIL = "ann@example.com"
# Chromium says so of each page that is answered with such a status, as a refused form is.
STATUS = "Failed to load resource: the server responded with a status of"


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pserve]:
    """The application as a newcomer starts it, without the debug toolbar."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield from running(f"sqlite:///{tmp_path / 'story.sqlite'}", tmp_path)
    else:
        with request.getfixturevalue("postgresql").database() as url:
            yield from running(url, tmp_path)


def running(url: str, folder: Path) -> Iterator[Pserve]:
    with Pserve(
        ROOT / "development.ini", folder, "pyramid.includes=", environment={"DATABASE_URL": url}
    ) as pserve:
        yield pserve


class Person:
    """Somebody at one browser, who checks each page that they come to."""

    def __init__(self, context: BrowserContext, server: Pserve) -> None:
        self.page, self.url = context.new_page(), server.url
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        # "Info" tells what Clear-Site-Data has done.
        if message.type != "info" and not message.text.startswith(STATUS):
            self.complaints.append(message.text)

    def goes_to(self, path: str) -> None:
        """Open a page."""
        self.page.goto(self.url + path)
        self.looks()

    def looks(self) -> None:
        """See that a page is usable: nothing is cut off, and axe finds nothing serious."""
        wide = self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert wide, f"{self.page.url} is wider than the window"
        found = Axe().run(self.page).response["violations"]
        serious = [
            (each["help"], [node["html"] for node in each["nodes"]])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert not serious, self.page.url

    def types(self, path: str, **fields: str) -> None:
        """Fill in the form that leads to a path, and send it by the keyboard."""
        form = self.page.locator(f"form[action='{path}']")
        for name, value in fields.items():
            form.locator(f"[name={name}]").fill(value)
        with self.page.expect_navigation():
            form.locator(f"[name={[*fields][-1]}]").press("Enter")
        self.looks()

    def opens_mail(self, subject: str) -> None:
        """Follow the link of the newest mail of a subject."""

        def is_there() -> bool:
            self.page.goto(f"{self.url}/dev/mail")
            return self.page.locator("article h2").first.text_content() == subject

        wait_until(is_there, subject)
        with self.page.expect_navigation():
            self.page.locator("article").first.locator("a").click()
        self.looks()

    def signs_in(self, password: str) -> None:
        """Sign in."""
        self.goes_to("/login")
        self.types("/login", email=EMAIL, password=password)

    def sees(self, text: str) -> None:
        """See a text on the page."""
        expect(self.page.locator("main")).to_contain_text(text)

    def is_out(self) -> None:
        """Be asked to sign in."""
        self.page.goto(f"{self.url}/restricted")
        expect(self.page).to_have_url(f"{self.url}/login?next=%2Frestricted")


@pytest.fixture
def people(browser: Browser, server: Pserve) -> Iterator[tuple[Person, Person]]:
    """Ann at her desk, and with her phone."""
    small: ViewportSize = {"width": 320, "height": 640}
    contexts = [browser.new_context(), browser.new_context(viewport=small, color_scheme="dark")]
    desk, phone = (Person(context, server) for context in contexts)
    yield desk, phone
    assert desk.complaints == phone.complaints == []
    for context in contexts:
        context.close()


@pytest.mark.parametrize("server", ["sqlite", "postgresql"], indirect=True)
def test_the_story_of_an_account(people: tuple[Person, Person]) -> None:
    """A1-A6, A10: each step of it works in a browser, at any width, light and dark."""
    desk, phone = people
    desk.goes_to("/signup")
    desk.types("/signup", email=EMAIL, password="too short")
    expect(desk.page.locator("#password")).to_be_focused()
    desk.types("/signup", email=EMAIL, password=PASSWORD)
    desk.sees("Check your mail")
    assert desk.page.context.cookies() == []
    desk.opens_mail("Confirm your address")
    expect(desk.page).to_have_url(f"{desk.url}/confirm")
    desk.types("/confirm", password=PASSWORD)
    desk.sees(f"You are signed in as {EMAIL}")

    phone.signs_in(PASSWORD)
    phone.sees("You are signed in")
    desk.goes_to("/account/devices")
    expect(desk.page.locator(".cards li")).to_have_count(2)
    desk.page.get_by_role("link", name="Sign it out").click()
    desk.types(desk.page.url.removeprefix(desk.url), password=PASSWORD)
    desk.sees("The device is signed out.")
    phone.is_out()

    phone.signs_in(PASSWORD)
    tab = desk.page.context.new_page()
    tab.goto(f"{desk.url}/account/devices")
    desk.goes_to("/account/password")
    desk.types("/account/password", password=PASSWORD, new_password=ANOTHER)
    desk.sees("Your password is changed")
    phone.is_out()
    tab.get_by_role("link", name="Give it a name").first.click()
    tab.fill("#name", "My desk")
    tab.click("main button")
    expect(tab.locator("main")).to_contain_text("My desk")

    phone.goes_to("/forgotten-password")
    phone.types("/forgotten-password", email=EMAIL)
    phone.opens_mail("Choose a new password")
    phone.types("/password-reset", new_password=PASSWORD)
    phone.sees("Your password is set")
    desk.is_out()
    phone.page.goto(f"{phone.url}/dev/mail")
    used = phone.page.locator("article", has_text="Choose a new password").first.locator("a")
    used.click()
    phone.sees("This link no longer works")


def test_back_after_signing_out(people: tuple[Person, Person], server: Pserve) -> None:
    """A13, ASVS 14.3.1: the button shows no page of somebody who has left."""
    desk, _ = people
    sign_up(desk)
    desk.goes_to("/account")
    desk.sees(EMAIL)
    desk.page.get_by_role("button", name="Sign out").click()
    expect(desk.page).to_have_url(f"{desk.url}/?signed-out")
    desk.page.go_back()
    expect(desk.page.locator("main")).not_to_contain_text(EMAIL)
    expect(desk.page).to_have_url(f"{desk.url}/login?next=%2Faccount")


def sign_up(person: Person) -> None:
    """Make an account."""
    person.goes_to("/signup")
    person.types("/signup", email=EMAIL, password=PASSWORD)
    person.opens_mail("Confirm your address")
    person.types("/confirm", password=PASSWORD)


def test_all_of_it_by_the_keyboard(people: tuple[Person, Person]) -> None:
    """Without a mouse: Tab, typing and Enter lead from the home page to the account."""
    desk, _ = people
    sign_up(desk)
    desk.goes_to("/")
    reach(desk.page, "Sign out")
    desk.page.keyboard.press("Enter")
    expect(desk.page).to_have_url(f"{desk.url}/?signed-out")
    reach(desk.page, "Sign in")
    desk.page.keyboard.press("Enter")
    expect(desk.page).to_have_url(f"{desk.url}/login")
    reach(desk.page, "email")
    desk.page.keyboard.type(EMAIL)
    desk.page.keyboard.press("Tab")
    desk.page.keyboard.type(PASSWORD)
    desk.page.keyboard.press("Enter")
    expect(desk.page).to_have_url(f"{desk.url}/restricted")


def reach(page: Page, what: str) -> None:
    """Press Tab until the focus is on a thing of that text or name, and can be seen."""
    script = "(e => [e.textContent.trim() || e.name, getComputedStyle(e).outlineStyle])"
    for _ in range(30):
        page.keyboard.press("Tab")
        page.wait_for_load_state()
        text, outline = page.evaluate(f"{script}(document.activeElement ?? document.body)")
        if text == what:
            assert outline != "none"
            return
    pytest.fail(f"{what} can't be reached")


def test_a_disabled_user_is_out(
    people: tuple[Person, Person], server: Pserve, tmp_path: Any
) -> None:
    """A15: with the next page that they open."""
    desk, _ = people
    sign_up(desk)
    with closing(sqlite3.connect(tmp_path / "story.sqlite")) as connection, connection:
        connection.execute("UPDATE users SET disabled_at = 1")
    desk.is_out()
    desk.signs_in(PASSWORD)
    desk.sees("There is no account with this address and this password.")
