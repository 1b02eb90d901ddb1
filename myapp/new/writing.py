"""Writes a codebase to its folder, completely or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from myapp.new.files import CannotMake, Files, write
from myapp.new.source import git, identity


def refuse_target(target: Path) -> None:
    """Raise CannotMake, in one line, where nothing can be made."""
    if target.exists() or target.is_symlink():
        raise CannotMake(f"{target} already exists: expected a folder that does not exist yet")
    if not target.parent.is_dir():
        raise CannotMake(
            f"{target.parent} is not a folder: expected one to create {target.name} in"
        )


def place(files: Files, target: Path, *, with_git: bool) -> None:
    """Write into a folder beside the target, which takes the target's name at the end."""
    refuse_target(target)
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise CannotMake(f"{target.parent} can't be written to: {error.strerror}") from error
    try:
        beside.chmod(0o755)
        write(files, beside)
        if with_git:
            _begin_repository(beside)
        beside.rename(target)
    except OSError as error:
        raise CannotMake(f"{target} can't be written: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _begin_repository(folder: Path) -> None:
    git("init", "--quiet", "--initial-branch=main", folder=folder)
    git("add", "--all", folder=folder)
    git(*identity(folder), "commit", "--quiet", "--message", "Begin", folder=folder)
