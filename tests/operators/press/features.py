"""The features of this codebase, by their folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from myapp.scripts.sessions.codebase import module_of


def modules(name: str) -> Iterator[ModuleType]:
    """The module of this name of each feature that has one."""
    for folder in sorted(Path(__file__).parent.iterdir()):
        module = (
            module_of(f"{__package__}.{folder.name}", name)
            if (folder / "__init__.py").exists()
            else None
        )
        if module is not None:
            yield module
