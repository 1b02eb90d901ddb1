"""docs/how-to/models.md, to the letter, in a copy of the project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.processes import ROOT, clean_environment
from tests.own_application import HOW_TO, block

PAGE = HOW_TO / "models.md"
BIN = Path(sys.executable).parent
# Environments, caches, Debian folders: much, and nothing of the project.
NOT_COPIED = shutil.ignore_patterns(".*", "*.sqlite*", "dist", "build", "htmlcov", "__pycache__")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project, with what the page adds."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    add(copy / "myapp/models/note.py", "class Note(")
    add(copy / "myapp/views/board.py", "def show(")
    add(copy / "tests/functional/test_board.py", "def test_")
    models = copy / "myapp/models/__init__.py"
    put(models, "from myapp.models.probe", block(PAGE, "Note as Note") + "from myapp.models.probe")
    route = block(PAGE, "add_route").rstrip()
    routes = copy / "myapp/routes.py"
    line = next(line for line in routes.read_text().splitlines() if '"health"' in line)
    put(routes, line, f"{line}\n    {route.strip()}")
    return copy


def add(file: Path, words: str) -> None:
    """Write the page's block with these words."""
    file.write_text(block(PAGE, words))


def put(file: Path, old: str, new: str) -> None:
    """Replace a text that is there once."""
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def run(copy: Path, *command: str | Path) -> str:
    """Run something in the copy."""
    changes = {"PYTHONPATH": str(copy), "MYAPP_INI": ""}
    done = subprocess.run(
        command,
        cwd=copy,
        env=clean_environment(changes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make(copy: Path, *words: str) -> str:
    """A target of the Makefile, with the programs that run this test in place of .venv."""
    return run(copy, "make", "--old-file", ".venv/.stamp", f"BIN={BIN}", *words)


def test_a_model_gets_a_migration_that_the_checks_accept(copy: Path) -> None:
    """G3: written, checked, applied, tried by the page's test; whatever the message says."""
    make(copy, "migrations/up")
    make(copy, "migrations/new", f'MESSAGE=add "notes\\x", {"a long word, " * 9}said "Ann"')
    (written,) = (copy / "alembic" / "versions").glob("*_add_notes*.py")
    assert "batch_op.create_index" in written.read_text()
    run(copy, BIN / "ruff", "format", "--check")
    run(copy, BIN / "ruff", "check")
    make(copy, "migrations/up")
    run(copy, BIN / "alembic", "check")
    make(copy, "migrations/new", "MESSAGE=nothing at all")
    run(copy, BIN / "ruff", "check")
    run(copy, BIN / "ruff", "format", "--check")
    board = "tests/functional/test_board.py"
    assert "1 passed" in run(copy, sys.executable, "-m", "pytest", "-q", "-n", "0", board)
