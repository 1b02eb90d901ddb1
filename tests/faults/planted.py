"""Plants known bugs, one at a time in a copy of the sources, and sees whether each is caught.

    python -m tests.faults.planted [WORD ...]

With words, only the bugs in whose names one of them occurs. Ends with status 1 if a bug was not
caught. What catches it is a run of the checker, or a test where the checker would need much luck.
The bugs are in `tests/faults/bugs`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.processes import ROOT, clean_environment
from tests.faults.bugs.bug import BUGS, Check
from tests.faults.planting import plant

LONGEST: Final = 900.0
"""Seconds that a check may take, on a machine with much else to do."""
_LEFT_OUT: Final = (".*", "__pycache__", "*.egg-info", "build", "dist", "htmlcov", "*.sqlite*")


@contextmanager
def copied(sources: Path = ROOT) -> Iterator[Path]:
    """A copy of the sources, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="myapp-planted-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(sources, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        yield copy


def outcome_of(check: Check, folder: Path) -> tuple[bool, str]:
    """Whether a check finds something wrong, and what it said of it in the end."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", check.module, *check.words],
            cwd=folder, env=clean_environment({"PYTHONDONTWRITEBYTECODE": "1"}),
            capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False, "it took too long"
    lines = re.findall(rf"^.*{check.found}.*$", done.stdout, re.MULTILINE)
    if done.returncode == 1 and lines:
        return True, lines[-1].strip(" =")
    last = (done.stdout + done.stderr).strip().splitlines()[-1:]
    return False, f"status {done.returncode}: {' '.join(last)}"


def main(words: list[str]) -> int:
    """Plant each, and tell; the exit status."""
    missed = 0
    for bug in BUGS.values():
        if words and not any(word in bug.name for word in words):
            continue
        began = time.monotonic()
        with copied() as folder:
            plant(bug, folder)
            caught, said = outcome_of(bug.check, folder)
        missed += not caught
        print(f"{'caught' if caught else 'NOT caught'}: {bug.name}")
        by = f"{bug.check.module} {' '.join(bug.check.words)}"
        print(f"    {by}\n    {said}, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{missed} bugs were not caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
