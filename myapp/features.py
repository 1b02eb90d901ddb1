"""The features of the application: packages within this one, each with models, settings and more.

A feature is found by its folder, so that to delete the folder and its line in `main()` is enough.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import myapp

# Not features: what every feature stands on, and what makes codebases of them.
FOUNDATION = ("models", "new", "scripts", "sessions", "views")


def modules(name: str) -> Iterator[ModuleType]:
    """The module of this name of each feature that has one, in the order of the alphabet."""
    for package in pkgutil.iter_modules(myapp.__path__, "myapp."):
        if package.ispkg and package.name.removeprefix("myapp.") not in FOUNDATION:
            module = f"{package.name}.{name}"
            if find_spec(module):
                yield import_module(module)
