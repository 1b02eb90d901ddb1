"""The sessions as a dependency: the wheel of this project, built from the commit.

`myapp.sessions` and the modules that it depends on then keep their names, so that the application
can catch the errors that it raises.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from myapp.new.files import CannotMake, Files, edit, write

FOUNDATION: Final = (
    "bounded_psycopg",
    "database",
    "database_url",
    "environment",
    "mysql_connector",
    "pooler",
    "private_file",
    "setting_table",
    "url_parameters",
)
"""Modules that the sessions import; a test compares."""

FROM_THE_WHEEL: Final = (
    "myapp/sessions/",
    "myapp/scripts/sessions/",
    *(f"myapp/{name}.py" for name in FOUNDATION),
)
"""What is not copied into the codebase."""

KEPT_NAMES: Final = ("scripts.sessions", "sessions", *FOUNDATION)
"""Modules that are called `myapp.…` in the codebase too."""


def add_wheel(files: Files, source: Files) -> None:
    """Put the wheel into `wheels/`, and name it in the requirements."""
    name, content = build(source)
    version = name.split("-")[1]
    files[f"wheels/{name}"] = content
    line = f"myapp=={version} \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n"
    for path in ("requirements.txt", "requirements-dev.txt"):
        edit(files, path, lambda text: f"{text.rstrip()}\n{line}")
    edit(
        files,
        "setup.cfg",
        lambda text: text.replace(
            "install_requires =\n",
            f"install_requires =\n    # The sessions, from wheels/.\n    myapp =={version}\n",
        ),
    )


def build(source: Files) -> tuple[str, bytes]:
    """Name and content of the wheel of these files. Raises CannotMake."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(source, folder / "source")
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", name]
        done = subprocess.run(  # noqa: S603  # words of ours alone
            [*command, str(folder / "source")],
            capture_output=True,
            env={"SOURCE_DATE_EPOCH": "315532800", "PATH": "/usr/bin:/bin"},
            check=False,
        )
        if done.returncode:
            last = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()[-1:]
            raise CannotMake(f"the wheel of the sessions can't be built: {''.join(last)}")
        (wheel,) = folder.glob("*.whl")
        return wheel.name, wheel.read_bytes()
