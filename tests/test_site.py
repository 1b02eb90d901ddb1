"""What makes a site of the docs: the start page, the drawings, and what the pages link to."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from harness.processes import ROOT
from tests.test_docs import DOCS, PAGES, each, prose

START = DOCS / "index.md"
DRAWINGS = sorted((DOCS / "drawings").glob("*.dot"))
SVG = "{http://www.w3.org/2000/svg}text"
# The seed of this project was asked these.
ASKED = (
    "Store a value and read it",
    "Change the lifetime and the idle timeout",
    "Rename the cookie",
    "Where the table comes from",
    "Safari on localhost",
)


def linked(page: Path) -> list[str]:
    """What a page links to, in its order."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def test_every_page_is_found_from_the_start_page() -> None:
    """G1: in one of its lists, of which the site makes its table of contents."""
    there = {(DOCS / link).resolve() for link in linked(START) if "#" not in link}
    pages = {page for page in PAGES if not page.name[:4].isdecimal()}
    assert pages - {START} <= there


def test_each_of_the_first_questions_is_one_click_away() -> None:
    """G1: the start page links to the section that answers it."""
    fragments = [link.partition("#")[2] for link in linked(START) if "#" in link]
    assert sorted(fragments) == sorted(asked.lower().replace(" ", "-") for asked in ASKED)


@each(*DRAWINGS)
def test_a_drawing_says_what_its_text_says(drawing: Path) -> None:
    """G1: `make docs/drawings` mends it. Graphviz may lay it out otherwise, but the words stay."""
    text = drawing.read_text("utf-8")
    wanted = [line for label in re.findall(r'label="([^"]*)"', text) for line in label.split("\\n")]
    drawn = ElementTree.parse(drawing.with_suffix(".svg")).iter(SVG)
    assert sorted(element.text or "" for element in drawn) == sorted(wanted)


@each(*DRAWINGS)
def test_a_drawing_is_shown_with_words_for_those_who_cannot_see_it(drawing: Path) -> None:
    """G1: by a page, with a text that says what it shows."""
    shown = [
        alternative
        for page in PAGES
        for alternative, target in re.findall(r"!\[([^]]*)\]\(([^)\s]+)\)", prose(page))
        if (page.parent / target).resolve() == drawing.with_suffix(".svg")
    ]
    assert len(shown) == 1
    assert len(shown[0].split()) >= 5


def test_the_drawing_of_precedence_is_the_rule() -> None:
    """C: environment before command line before ini before default, as the reference has it."""
    drawn = re.findall(r'label="\d\. ([^,\\]+)', (DOCS / "drawings" / "precedence.dot").read_text())
    assert drawn == ["environment", "command line", "ini file", "default"]
    arrows = re.findall(r"(\w+) -> (\w+)", (DOCS / "drawings" / "precedence.dot").read_text())
    assert arrows == [("environment", "command"), ("command", "ini"), ("ini", "default")]


def test_no_address_is_invented_for_feedback() -> None:
    """G1: the pages speak of the repository's own tracker, and of nobody's mailbox."""
    for page in (ROOT / "SECURITY.md", DOCS / "feedback.md", DOCS / "roadmap.md"):
        assert not re.search(r"\S+@\S+\.\w+|https?://", page.read_text("utf-8"))
