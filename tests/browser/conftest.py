"""A real browser for the tests in this folder.

Every test gets a context of its own: no cookie of another test is in it.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from harness.servers.programs import CHROMIUM, ServerMissing, skip_or_fail

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
def browser() -> Iterator[Browser]:
    """The system's Chromium, started once for each worker of the test run."""
    try:
        executable = CHROMIUM.find()
    except ServerMissing as missing:
        skip_or_fail(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


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
