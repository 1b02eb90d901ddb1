"""What tests of pages look at."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text


def rows(app: Any) -> int:
    """How many sessions the table holds, markers excepted."""
    with app.registry["dbengine"].connect() as connection:
        count = connection.execute(text("SELECT count(*) FROM sessions WHERE ended IS NULL"))
        return int(count.scalar_one())


def contents(page: Any) -> dict[str, tuple[str, str]]:
    """The table on a page: value and type by key."""
    table = {}
    for row in page.html.select("tbody tr"):
        cells = [cell.get_text() for cell in row.find_all("td")]
        table[row.th.get_text()] = (cells[0], cells[1])
    return table


def check_page(html: Any) -> None:
    """Nothing on a page is what the content policy forbids."""
    assert not html.find_all(["script", "style"])
    for tag in html.find_all(True):
        assert not [name for name in tag.attrs if name == "style" or name.startswith("on")]
        assert str(tag.get("href", tag.get("src", "/"))).startswith(("/", "#"))
