"""How Sphinx makes a site of these pages: `make docs`.

The pages are plain Markdown that reads well on a code host too. What only Sphinx needs, a table of
contents above all, is made from their links here, so that nothing is listed twice.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START = "docs/index"
# These sections of the start page are the table of contents, in this order.
CHAPTERS = ("Tutorial", "How to", "Reference", "Explanation", "Project")
# A code host shows this page below the list of the folder's files.
FOLDER_PAGE = "README.md"

project = "myapp"
author = "the authors of myapp"
extensions = ["myst_parser", "sphinx_copybutton"]
# The sources are the whole repository, so that a page may link to the files that it speaks of.
include_patterns = ["docs/**", "*.md"]
exclude_patterns = [".*", "build", "dist", "docs/requirements*"]
root_doc = START
source_suffix = {".md": "markdown"}
nitpicky = True

myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "furo"
html_title = "myapp"
html_favicon = "../myapp/static/favicon.svg"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
# Whoever opens the folder is led to the start page.
html_extra_path = ["site/index.html"]
html_theme_options = {"top_of_page_buttons": []}
# The prompts of commands are not copied with them.
copybutton_prompt_text = r"\$ |# |>>> "
copybutton_prompt_is_regexp = True


def setup(app: Any) -> None:
    """Let Sphinx see each page as it is meant here."""
    app.connect("source-read", _prepare)


def _prepare(app: Any, name: str, source: list[str]) -> None:
    page = ROOT / f"{name}.md"
    text = re.sub(r"\[([^]]+)\]\(([^):\s]+/)\)", partial(_to_folder, page.parent), source[0])
    if name == START:
        text += "".join(_contents(title, _links(text, title)) for title in CHAPTERS)
    elif page.name == FOLDER_PAGE and page.parent != ROOT:
        text += _contents("", sorted(path.name for path in page.parent.glob("[0-9]*.md")))
    source[0] = text


def _to_folder(here: Path, link: re.Match[str]) -> str:
    """A link to a folder leads to its page; a folder without one is only named."""
    text, folder = link.groups()
    there = (here / folder / FOLDER_PAGE).exists()
    return f"[{text}]({folder}{FOLDER_PAGE})" if there else text


def _links(text: str, title: str) -> list[str]:
    """The pages that a section of the start page links to, without fragments."""
    section = re.split(r"^## ", text.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]
    return re.findall(r"\]\(([^)#:\s]+\.md)\)", section)


def _contents(title: str, pages: list[str]) -> str:
    listed = "\n".join(page.removesuffix(".md") for page in pages)
    options = f":hidden:\n:caption: {title}" if title else ":titlesonly:"
    return f"\n\n```{{toctree}}\n{options}\n\n{listed}\n```\n"
