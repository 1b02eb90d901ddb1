"""Each in an environment of its own, from the package index: ``python -m tests.applications.run``.

With words, only those in whose names one of them occurs. Ends with status 1 if one of them failed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

from harness.processes import ROOT, clean_environment

SCRIPTS: Final = Path(__file__).with_name("scripts")
PACKAGES: Final = {
    "authsanity": ("pyramid_authsanity",),
    "deform_form": ("deform",),
    "fullauth": ("pyramid_fullauth",),
    "googleauth": ("pyramid_googleauth",),
    "multiauth": ("pyramid_multiauth",),
    "session_multi": ("pyramid_session_multi",),
    # The package was released before social-auth-core 5, and doesn't work with it.
    "social_auth": (
        "social-auth-app-pyramid",
        "social-auth-storage-sqlalchemy",
        "social-auth-core<5",
    ),
    "velruse_github": ("velruse",),
    "wtforms_csrf": ("WTForms",),
    "wuttaweb_app": ("wuttaweb",),
}
"""What is installed beside us for each script."""
# What they, and Pyramid, deprecate is not ours to mend.
_QUIETLY: Final = ("-W", "ignore")


def main(*words: str) -> int:
    """Try them, and print a line for each."""
    failed = False
    for name, packages in PACKAGES.items():
        if words and not any(word in name for word in words):
            continue
        with tempfile.TemporaryDirectory(prefix="myapp-application-") as folder:
            trouble = _try(name, packages, Path(folder))
        print(f"{name:16} {', '.join(packages):24} {trouble or 'works'}", flush=True)
        failed = failed or trouble is not None
    return int(failed)


def _try(name: str, packages: tuple[str, ...], folder: Path) -> str | None:
    """Install them and run the script; what went wrong, or None."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    for command in (
        [*install, str(ROOT), "WebTest", *packages],
        [str(python), *_QUIETLY, str(SCRIPTS / f"{name}.py")],
    ):
        done = subprocess.run(
            command,
            env=clean_environment(),
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return f"failed:\n{done.stdout}{done.stderr}"
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
