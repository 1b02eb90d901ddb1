"""`codebase.json`: the origin of a codebase and its answers; an update needs both."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from myapp.new.answers import Answers
from myapp.new.files import CannotMake, Files
from myapp.new.source import generator_hash

NAME: Final = "codebase.json"
_HASH: Final = re.compile("[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Its contents."""

    commit: str
    generator: str
    answers: Answers


def add_manifest(files: Files, commit: str, source: Files, answers: Answers) -> None:
    """Write it."""
    value = {
        "commit": commit,
        "generator": generator_hash(source),
        "answers": answers.as_json(),
    }
    files[NAME] = (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def read_manifest(folder: Path) -> Manifest:
    """That of a codebase. Raises CannotMake."""
    path = folder / NAME
    try:
        value = json.loads(path.read_text("utf-8"))
        answers = Answers.from_json(value["answers"])
        commit, generator = str(value["commit"]), str(value["generator"])
    except OSError as error:
        raise CannotMake(
            f"{path} can't be read: expected a codebase that this command made"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise CannotMake(f"{path} is damaged ({error}): expected the file as git has it") from error
    if not _HASH.fullmatch(commit):
        raise CannotMake(f"{path}: commit = {commit[:60]!r}: expected the name of a commit")
    refused = answers.refused()
    if refused is not None:
        raise CannotMake(f"{path}: {refused}")
    return Manifest(commit=commit, generator=generator, answers=answers)
