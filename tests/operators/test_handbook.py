"""The commands of the handbook do what it says, on each database."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.processes import ROOT
from myapp import migrations
from myapp.scripts.sessions import cli
from tests.command_line import called
from tests.operators.conftest import Shop
from tests.operators.test_audit import TOLD
from tests.test_docs import fences

HANDBOOK: Final = ROOT / "docs" / "how-to" / "handbook.md"
HANDLE: Final = "9Xq1rWc3nBzK7aTfUd0e2g"
"""That of the handbook's examples."""


def commands() -> list[tuple[list[str], list[str]]]:
    """The words of each command, and the lines that it is shown to say."""
    found = []
    for language, text in fences(HANDBOOK):
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE) if language == "console" else ():
            head, *lines = part.splitlines() or [""]
            if head.startswith("myapp-sessions "):
                found.append((shlex.split(head)[1:], lines))
    return found


def test_there_is_a_command_for_each_of_the_thirteen_questions() -> None:
    """O1: one command each, at least."""
    text = HANDBOOK.read_text("utf-8")
    questions = re.split(r"^## (?=\d+\. )", text, flags=re.MULTILINE)[1:]
    assert [int(each.partition(".")[0]) for each in questions] == list(range(1, 14))
    assert all("$ myapp-sessions " in each for each in questions)


def test_the_commands_do_what_the_handbook_says(database_url: str, tmp_path: Path) -> None:
    """O1: each succeeds, and says the same names in the same order."""
    migrations.upgrade(database_url)
    shop = Shop(database_url, tmp_path / "shop.ini")
    environment = TOLD | {"DATABASE_URL": database_url}
    for words, lines in commands():
        for _ in range(3):
            shop.has(user_id="42")
        _, handle = shop.signed_in("42", cart=["tea", "milk"], language="de")
        given = [handle if word == HANDLE else word for word in words]
        given = [str(ROOT / word) if word == "production.ini" else word for word in given]
        # Nobody can be asked here.
        given += ["--yes"] * (words[1:2] == ["end"] and HANDLE not in words)
        result = called(cli, *given, environment=environment)
        assert result.exit_code == 0, (words, result.output)
        assert_in_order(names_in(lines), result.stdout)
    shop.store.close()


def names_in(lines: Sequence[str]) -> list[str]:
    """The words with which lines begin, without what is different each time."""
    shown = [line for line in lines if not line.startswith(("End ", "…"))]
    found = [re.match(r"\s*\"?([a-z][a-z_]+)\b", line) for line in shown]
    # The size of a table is told by servers alone, and a test has no name for the command.
    names = [each[1] for each in found if each]
    return [name for name in names if name not in ("table", "index", "myapp")]


def assert_in_order(names: Sequence[str], said: str) -> None:
    """All names stand in what was said, one after the other."""
    at = 0
    for name in names:
        at = said.find(name, at) + len(name)
        assert at >= len(name), (name, said)
