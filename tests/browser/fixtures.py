"""A real browser, for the tests in this folder and those of features; tests/conftest.py has it.

Every test gets a context of its own: no cookie of another test is in it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from harness.servers.programs import CHROMIUM, ServerMissing, skip_or_fail

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# The sandbox refuses root; the rest keeps a browser from calling home.
FLAGS = (
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Names that are no loopback, for what a browser does on plain http.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, started once for each worker of the test run."""
    try:
        executable = CHROMIUM.find()
    except ServerMissing as missing:
        skip_or_fail(missing)
    # Not every environment that runs some of the tests has it.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The system's Chromium for one test, in which a connection that it left open is reported."""
    yield chromium
    # Playwright keeps its callers' frames in cycles, with all that they hold. Left to itself, the
    # garbage collector might close a connection, and warn of it, while another test runs.
    gc.collect()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser window without a past."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty tab in a window without a past."""
    return context.new_page()
