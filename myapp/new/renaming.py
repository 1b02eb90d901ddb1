"""Gives everything the codebase's own name: packages, settings, loggers, variables, pages."""

from __future__ import annotations

import json
import re
from typing import Final

from myapp.new.answers import Answers
from myapp.new.files import CannotMake, Files, edit, texts
from myapp.new.wheel import KEPT_NAMES

_IMPORT: Final = re.compile(r"^( *)from myapp import (?:\(([^)]*)\)|([\w, ]+))$", re.MULTILINE)
_TITLE: Final = re.compile(r'(\{%-? set site_title = )"[^"]*"')


def rename(files: Files, answers: Answers) -> Files:
    """The files under their new paths, with the new name in each text."""
    kept = KEPT_NAMES if answers.require_sessions else ()
    for path, text in list(texts(files)):
        if answers.require_sessions and path.endswith(".py"):
            text = _IMPORT.sub(_split, text)
        files[path] = _renamed(text, answers.package, kept).encode()
    edit(files, "myapp/templates/base.jinja2", lambda text: _titled(text, answers.title))
    _fill_in(files, answers)
    return {_renamed_path(path, answers.package): content for path, content in files.items()}


def _renamed(text: str, package: str, kept: tuple[str, ...]) -> str:
    if kept:
        names = "|".join(map(re.escape, kept))
        # `from myapp import sessions` was split off; paths and commands are spared likewise.
        spared = rf"(?:\.(?:{names})\b|-sessions\b|(?= import (?:{names})\b))"
        text = re.sub(rf"(?<![A-Za-z])myapp(?!{spared}|/sessions\b)", package, text)
    else:
        text = text.replace("myapp", package)
    return text.replace("MYAPP", package.upper())


def _renamed_path(path: str, package: str) -> str:
    return re.sub(r"^myapp/", f"{package}/", path)


def _split(found: re.Match[str]) -> str:
    """One import statement for each name, since some stay with the wheel and others move."""
    names = [name.strip() for name in (found[2] or found[3]).split(",") if name.strip()]
    return "\n".join(f"{found[1]}from myapp import {name}" for name in names)


def _titled(text: str, title: str) -> str:
    # A backslash or a quote is escaped in Jinja as it is in JSON; the template escapes the rest.
    quoted = json.dumps(title, ensure_ascii=False)
    titled, count = _TITLE.subn(lambda found: f"{found[1]}{quoted}", text)
    if count != 1:
        raise CannotMake(f"base.jinja2 sets its title {count} times, not once")
    return titled


def _fill_in(files: Files, answers: Answers) -> None:
    """Put the answers in place of the words that stand for them, in files that are not Python."""
    words = {
        "THE_TITLE": answers.title,
        "THE_YEAR": str(answers.year),
        "THE_HOLDER": answers.holder,
        "THE_GENERATOR": "python -m myapp.new",
    }
    for path, text in list(texts(files)):
        if path.endswith(".md") or path == "LICENSE":
            for word, answer in words.items():
                text = text.replace(word, answer)
            files[path] = text.encode()
