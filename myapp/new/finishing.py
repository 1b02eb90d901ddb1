"""The last steps, which need the files in a folder: the SQL of the tables, and the formatter.

A longer or shorter package name changes line breaks, the order of imports and unused imports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from myapp.new.answers import Answers
from myapp.new.files import CannotMake, Files, read, write
from myapp.new.source import ROOT

_DIALECTS: Final = {"sqlite": "sqlite", "postgresql": "postgresql", "mariadb": "mysql"}

# Unused imports, and the order of renamed ones. A formatter can't wrap comments, which a longer
# name may push over the limit.
_REPAIRS: Final = ("--fix-only", "--extend-select", "F401,I001")


def finish(files: Files, answers: Answers) -> Files:
    """The files as they are written. Raises CannotMake."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(files, folder)
        if not answers.migrations:
            said = _run(
                "-m", f"{answers.package}.scripts.schema", _DIALECTS[answers.database], at=folder
            )
            (folder / "schema.sql").write_bytes(said)
        _run("-m", "ruff", "check", "--quiet", "--no-cache", *_REPAIRS, ".", at=folder)
        _run("-m", "ruff", "format", "--quiet", "--no-cache", ".", at=folder)
        return read(folder)


def _run(*words: str, at: Path) -> bytes:
    """Python's output, with the folder's packages first on the path."""
    paths = {"PYTHONPATH": os.pathsep.join([str(at), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603  # words of ours alone
        [sys.executable, *words],
        cwd=at,
        env={**os.environ, **paths},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        last = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()[-1:]
        raise CannotMake(
            f"python {' '.join(words[:3])} failed: {''.join(last)}; run `make check` first"
        )
    return done.stdout
