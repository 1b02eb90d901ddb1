"""Copies of the project from which features were taken out, as the documentation says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.processes import ROOT, clean_environment

LEFT_OUT: Final = {
    "features": "they would copy the copy",
    "sessions": "a package that stands alone: test_wings.py there sees that it imports no other",
    "outcomes": "an application of their own, made of the sessions and pyramid_tm",
    "faults": "the same, under load for minutes",
    "serving": "servers that load the application, whatever is in it",
}
"""Folders of tests that a feature can't break, each with the reason."""

# The project is installed as it lies there: what the copy lacks would come from there after all.
APART: Final = """
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in str(finder)]
"""


def copy_without(features: Sequence[str], folder: Path) -> Path:
    """The tracked files of the project in `folder`, without these features and their tests."""
    copy = folder / "copy"
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in filter(None, listed.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for feature in features:
        take_out(feature, copy)
    return copy


def take_out(feature: str, copy: Path) -> None:
    """Delete its line in main(), its folder and that of its tests: no more should be needed."""
    _delete(copy / "myapp" / "__init__.py", rf' *config\.include\("myapp\.{feature}"\)\n')
    shutil.rmtree(copy / "myapp" / feature)
    shutil.rmtree(copy / "tests" / feature)


def take_out_the_rest_of_accounts(copy: Path) -> None:
    """Delete what the documentation has deleted besides: settings and requirements."""
    for ini in ("development.ini", "production.ini"):
        _delete(copy / ini, r"(?m)^# ---- Accounts ----\n.*?(?=^\[|^# ----)")
    _delete(copy / "setup.cfg", r" *# Of accounts alone\.\n(?: +\S[^\n]*\n){4}")


def test_files(copy: Path) -> list[str]:
    """The files and folders of tests to be run in the copy."""
    there = [path for path in sorted((copy / "tests").iterdir()) if path.name not in LEFT_OUT]
    wanted = [path for path in there if path.is_dir() or path.name.startswith("test_")]
    return [path.relative_to(copy).as_posix() for path in wanted]


def environment(copy: Path) -> dict[str, str]:
    """The variables by which Python finds what is in the copy, and nothing else of the project."""
    apart = copy.with_name("apart")
    apart.mkdir(exist_ok=True)
    (apart / "sitecustomize.py").write_text(APART)
    return {"PYTHONPATH": os.pathsep.join([str(copy), str(apart)])}


def describe(copy: Path) -> None:
    """Write the metadata of the copy's package, which a test would else do in the middle."""
    command = [sys.executable, "setup.py", "--quiet", "egg_info"]
    subprocess.run(command, cwd=copy, env=clean_environment(), check=True)


def run(copy: Path, *words: str) -> str:
    """Run a module of Python in the copy to its end; what it wrote, if it was a success."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=copy,
        env=clean_environment(environment(copy)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _delete(file: Path, pattern: str) -> None:
    text, count = re.subn(pattern, "", file.read_text("utf-8"), flags=re.DOTALL)
    assert count == 1, f"{pattern} is {count} times in {file}"
    file.write_text(text, "utf-8")
