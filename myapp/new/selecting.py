"""Selects the files of the repository that a codebase gets: the application's and the skeleton's.

What only this repository needs (benchmarks, checkers, the tests of the sessions) stays here.
"""

from __future__ import annotations

from typing import Final

from myapp.features import FOUNDATION
from myapp.new.answers import Answers
from myapp.new.files import Files
from myapp.new.source import GENERATOR, SKELETON
from myapp.new.wheel import FROM_THE_WHEEL

_TOP: Final = (
    ".pre-commit-config.yaml",
    "development.ini",
    "production.ini",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements.txt",
    "ruff.toml",
    "setup.cfg",
    "setup.py",
)
_OF_THE_WORKSHOP: Final = (GENERATOR, "myapp/scripts/reference.py")
# A new application has no old sessions to move in.
_FOR_A_MOVE: Final = (
    "myapp/sessions/moving/",
    "myapp/scripts/sessions/moving.py",
    "myapp/scripts/sessions/audit/moving.py",
)
_WITH_MIGRATIONS: Final = ("alembic/", "myapp/migrations.py", "tests/test_migrations.py")
_WITHOUT_MIGRATIONS: Final = (
    "myapp/scripts/schema.py",
    "tests/command_line.py",
    "tests/tables.py",
    "tests/test_schema.py",
)
_EMBEDDED: Final = ("tests/sessions/test_store.py",)


def features_in(files: Files) -> tuple[str, ...]:
    """The features that `main()` includes and that have a folder, in the order of `main()`."""
    main = files["myapp/__init__.py"].decode()
    lines = [line.strip() for line in main.splitlines()]
    names = [
        line.removeprefix('config.include("myapp.').removesuffix('")')
        for line in lines
        if line.startswith('config.include("myapp.')
    ]
    return tuple(
        name for name in names if name not in FOUNDATION and f"myapp/{name}/__init__.py" in files
    )


def select(source: Files, answers: Answers) -> Files:
    """The files that belong in this codebase, as they are in the repository."""
    chosen = {path: content for path, content in source.items() if _is_application(path)}
    chosen |= {
        path.removeprefix(SKELETON): content
        for path, content in source.items()
        if path.startswith(SKELETON)
    }
    unwanted = _unwanted(answers, features_in(source))
    return {path: content for path, content in chosen.items() if not path.startswith(unwanted)}


def _is_application(path: str) -> bool:
    return path in _TOP or path.startswith(("alembic/", "myapp/"))


def _unwanted(answers: Answers, features: tuple[str, ...]) -> tuple[str, ...]:
    left_out = [name for name in features if name not in answers.features]
    return (
        *_OF_THE_WORKSHOP,
        *_FOR_A_MOVE,
        *(_WITHOUT_MIGRATIONS if answers.migrations else _WITH_MIGRATIONS),
        *((*FROM_THE_WHEEL, *_EMBEDDED) if answers.require_sessions else ()),
        *(f"{folder}/{name}/" for name in left_out for folder in ("myapp", "tests")),
        *(f"docs/{name}.md" for name in left_out),
    )
