"""A page that is followed to the letter, in a copy of the project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from harness.processes import ROOT, clean_environment
from tests.own_application import block

BIN: Final = Path(sys.executable).parent
# Environments, caches, Debian folders: much, and nothing of the project.
_NOT_COPIED: Final = shutil.ignore_patterns(
    ".*", "*.sqlite*", "dist", "build", "htmlcov", "__pycache__"
)


class Follower:
    """Somebody who does in a copy of the project what one page says."""

    def __init__(self, page: Path, copy: Path) -> None:
        """Copy the project, unless that is done: a second page may go on where a first ended."""
        self.page, self.copy = page, copy
        if not copy.exists():
            shutil.copytree(ROOT, copy, ignore=_NOT_COPIED)

    def write(self, file: str, words: str) -> None:
        """Write a file: the page's block with these words."""
        path = self.copy / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block(self.page, words))

    def add_below(self, file: str, known: str, words: str) -> None:
        """Add the page's block with these words below the one line that has the known ones."""
        path = self.copy / file
        (line,) = (line for line in path.read_text().splitlines() if known in line)
        indent = line[: len(line) - len(line.lstrip())]
        self.replace(file, line, f"{line}\n{indent}{block(self.page, words).strip()}")

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text that is there once."""
        path = self.copy / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    def run(self, *command: str | Path) -> str:
        """Run something in the copy; its output."""
        changes = {"PYTHONPATH": str(self.copy), "MYAPP_INI": ""}
        done = subprocess.run(
            command,
            cwd=self.copy,
            env=clean_environment(changes),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def make(self, *words: str) -> str:
        """A target of the Makefile, with the programs that run this test in place of .venv."""
        return self.run("make", "--old-file", ".venv/.stamp", f"BIN={BIN}", *words)

    def test(self, *files: str) -> str:
        """Run some tests there; what pytest says."""
        return self.run(sys.executable, "-m", "pytest", "-q", "-n", "0", *files)
