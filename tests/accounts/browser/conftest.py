"""A real browser, as in tests/browser."""

from tests.browser.conftest import browser, context, page

__all__ = ["browser", "context", "page"]
