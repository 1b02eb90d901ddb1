"""Lines between `# <accounts>` and `# </accounts>` stay only in a codebase that has accounts.

They are for files that can't be split, and are comments in the file's language. The lines in
between must also be right for the whole application, where every marker is just a comment.
"""

from __future__ import annotations

import re
from typing import Final

from myapp.new.files import CannotMake, Files, texts

_MARKER: Final = re.compile(r"^[ \t]*(?:#|<!--|\{#-?) <(/?)([a-z][a-z_ ]*)>(?: -->| -?#\})?[ \t]*$")


def cut(text: str, conditions: set[str], path: str) -> str:
    """The text without its markers, and without the lines that are for other codebases.

    Raises CannotMake where they don't balance.
    """
    kept: list[str] = []
    open_names: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        marker = _MARKER.match(line.rstrip("\r\n"))
        if marker is None:
            if conditions.issuperset(open_names):
                kept.append(line)
        elif not marker[1]:
            open_names.append(marker[2])
        elif not open_names or open_names.pop() != marker[2]:
            raise CannotMake(f"{path}:{number}: </{marker[2]}> closes what is not open")
    if open_names:
        raise CannotMake(f"{path}: <{open_names[-1]}> is not closed")
    return "".join(kept)


def cut_all(files: Files, conditions: set[str]) -> None:
    """Cut each text, and what was cut out of the middle leaves one empty line."""
    for path, text in list(texts(files)):
        left = cut(text, conditions, path)
        # Python's formatter knows better how many there are.
        if left != text and not path.endswith(".py"):
            left = re.sub(r"\n{3,}", "\n\n", left)
        files[path] = left.encode()


def names_in(text: str) -> set[str]:
    """The names that open markers."""
    found = (_MARKER.match(line) for line in text.splitlines())
    return {marker[2] for marker in found if marker and not marker[1]}
