"""The frame of the application: its pages, its errors, its health."""

from __future__ import annotations

from webtest import TestApp


def test_the_home_page_starts_no_session(testapp: TestApp) -> None:
    """Looking at it sets no cookie."""
    page = testapp.get("/")
    assert "Set-Cookie" not in page.headers


def test_each_link_leads_somewhere(testapp: TestApp) -> None:
    """Those of the home page, styles and pictures included."""
    page = testapp.get("/").html
    links = {tag.get("href") or tag.get("src") for tag in page.find_all(["a", "link", "img"])}
    for link in links:
        if link.startswith("/"):
            assert testapp.get(link).status_int in (200, 303), link


def test_a_page_that_is_not_there(testapp: TestApp) -> None:
    """It is a page of the site, or JSON for programs."""
    assert testapp.get("/nowhere", status=404).html.find("header")
    accept = {"Accept": "application/json"}
    assert testapp.get("/nowhere", headers=accept, status=404).json["status"] == 404


def test_the_application_says_that_it_is_well(testapp: TestApp) -> None:
    """For monitoring."""
    assert testapp.get("/health").json["status"] == "ok"
