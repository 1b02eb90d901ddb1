"""Both parts of the tutorial, to the letter, in a copy of the project."""

from __future__ import annotations

from pathlib import Path

from harness.processes import ROOT
from tests.following import BIN, Follower

NOTES = ROOT / "docs" / "tutorial.md"
DIARY = ROOT / "docs" / "tutorial" / "signed-in.md"


def test_the_tutorial_ends_with_pages_for_those_who_signed_in(tmp_path: Path) -> None:
    """G3: each block where its page wants it; the tests of both pages and the checks pass."""
    notes = Follower(NOTES, tmp_path / "copy")
    notes.add_below("myapp/routes.py", '"health"', "add_route")
    notes.write("myapp/views/notes.py", "def show(")
    notes.write("myapp/templates/notes.jinja2", "<h1>Notes")
    notes.write("tests/functional/test_notes.py", "def test_")
    diary = Follower(DIARY, notes.copy)
    diary.make("migrations/up")
    diary.write("myapp/diary/models.py", "class Entry(")
    diary.write("myapp/diary/__init__.py", "def includeme(")
    diary.make("migrations/new", "MESSAGE=add a diary")
    diary.make("migrations/up")
    diary.write("myapp/diary/views.py", "class DiaryViews")
    diary.write("myapp/diary/templates/diary.jinja2", "<h1>The diary")
    diary.add_below("myapp/__init__.py", '"myapp.accounts"', "config.include")
    diary.write("tests/diary/test_diary.py", "def test_")
    (diary.copy / "tests" / "diary" / "__init__.py").touch()
    assert "3 passed" in diary.test("tests/functional/test_notes.py", "tests/diary/test_diary.py")
    diary.run(BIN / "ruff", "check")
    diary.run(BIN / "ruff", "format", "--check")
