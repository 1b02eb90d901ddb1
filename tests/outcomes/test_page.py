"""The page on transactions shows the table that the tests are made from."""

from pathlib import Path

from tests.outcomes.table import markdown

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "transactions.md"


def test_the_page_shows_the_table_as_it_is_tried_out() -> None:
    """S6: print it again by `python -m tests.outcomes.table`."""
    assert markdown() in PAGE.read_text("utf-8")
