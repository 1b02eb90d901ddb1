"""Codebases that are made of this project as it lies here, committed or not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from typing import Final
from zipfile import ZipFile

from harness.processes import ROOT, Pserve, clean_environment
from tests.features.copies import APART

# A commit needs an author, and nothing of a developer's git may change what is tested.
GIT: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_NAME": "Ann" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "ann@example.com" for who in ("AUTHOR", "COMMITTER")},
}

TYPES: Final = ROOT / ".mypy_cache" / "codebases"
"""What mypy knows of others' packages, so that not every codebase has them read again."""


def run(*command: str | Path, at: Path, **environment: str) -> str:
    """What a command says; it must succeed."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=at,
        env=clean_environment(GIT | environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def apart(folder: Path) -> dict[str, str]:
    """The variables by which Python finds the packages of a folder, and not the project's."""
    apart = folder.with_name(f"{folder.name}-apart")
    apart.mkdir(exist_ok=True)
    (apart / "sitecustomize.py").write_text(APART)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(apart)])}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A clone of the project, whose commits codebases are made of."""

    folder: Path

    @classmethod
    def beginning(cls, folder: Path) -> Workshop:
        """One with a single commit: the files as they are here, but for what git ignores."""
        words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, run("git", *words, at=ROOT).split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                copy(ROOT / name, folder / name)
        run("git", "init", "--quiet", at=folder)
        return cls(folder=folder).committing("As it lies here")

    def committing(self, message: str) -> Workshop:
        """The same, after a commit of what was changed."""
        run("git", "add", "--all", "--force", at=self.folder)
        run("git", "commit", "--quiet", "--message", message, at=self.folder)
        return self

    def says(self, *words: str | Path) -> tuple[int, str]:
        """Exit status and words of `python -m myapp.new …`."""
        done = subprocess.run(
            [sys.executable, "-m", "myapp.new", *map(str, words)],
            cwd=self.folder,
            env=clean_environment(GIT | apart(self.folder)),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def makes(self, target: Path, *words: str) -> Codebase:
        """A new codebase."""
        status, said = self.says(target, "--yes", *words)
        assert status == 0, said
        return Codebase(folder=target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codebase:
    """One that was made."""

    folder: Path

    @property
    def cookie_name(self) -> str:
        """As development.ini has it."""
        text = (self.folder / "development.ini").read_text("utf-8")
        (name,) = re.findall(r"^session\.cookie_name = (\S+)$", text, re.M)
        return str(name)

    def files(self) -> list[str]:
        """What git has of it."""
        return run("git", "ls-files", at=self.folder).splitlines()

    def text(self, path: str) -> str:
        """A file."""
        return (self.folder / path).read_text("utf-8")

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        (self.folder / path).write_text(text, "utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        """Change a file."""
        text = self.text(path)
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path}"
        self.write(path, text.replace(old, new))

    def commit(self, message: str) -> None:
        """Commit everything."""
        run("git", "add", "--all", at=self.folder)
        run("git", "commit", "--quiet", "--message", message, at=self.folder)

    def environment(self) -> dict[str, str]:
        """Of its own commands. It is not installed: its metadata lie in its folder."""
        found = apart(self.folder)
        if not list(self.folder.glob("*.egg-info")):
            run(sys.executable, "setup.py", "--quiet", "egg_info", at=self.folder, **found)
        for wheel in self.folder.glob("wheels/*.whl"):
            unpacked = self.folder.with_name(f"{self.folder.name}-wheel")
            ZipFile(wheel).extractall(unpacked)
            found["PYTHONPATH"] += f"{os.pathsep}{unpacked}"
            found["MYPYPATH"] = str(unpacked)
        return found

    def python(self, *words: str, **environment: str) -> str:
        """What `python -m …` says there."""
        variables = self.environment() | environment
        return run(sys.executable, "-m", *words, at=self.folder, **variables)

    def passes_its_tests(self, *words: str, **environment: str) -> None:
        """`make test`, without installing."""
        self.python("pytest", "-q", "-p", "no:cacheprovider", *words, **environment)

    def passes_its_checks(self) -> None:
        """`make check`."""
        self.python("ruff", "format", "--check", "--no-cache")
        self.python("ruff", "check", "--no-cache")
        self.python("mypy", MYPY_CACHE_DIR=str(TYPES))

    def server(self, folder: Path, *variables: str, **environment: str) -> Pserve:
        """Its application, not yet started."""
        folder.mkdir(exist_ok=True)
        given = self.environment() | environment
        ini = self.folder / "development.ini"
        return Pserve(ini, folder, *variables, environment=given, started_in=self.folder)
