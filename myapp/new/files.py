"""The files of a codebase, in memory: nothing half-written can be left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

Files = dict[str, bytes]
"""Content by path, which is relative to the root of the codebase."""


class CannotMake(Exception):
    """A codebase can't be made or updated; the message is one line."""


def edit(files: Files, path: str, change: Callable[[str], str]) -> None:
    """Change the text of a file, where there is one."""
    if path in files:
        files[path] = change(files[path].decode()).encode()


def texts(files: Files) -> Iterator[tuple[str, str]]:
    """Path and content of each file that is text."""
    for path, content in files.items():
        try:
            yield path, content.decode()
        except UnicodeDecodeError:
            continue


def write(files: Files, folder: Path) -> None:
    """Write them into a folder. Raises CannotMake for a path that leads out of it."""
    for path, content in files.items():
        target = folder / path
        if not target.resolve().is_relative_to(folder.resolve()):
            raise CannotMake(f"{path} would be outside of {folder}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def read(folder: Path) -> Files:
    """Read them from a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
