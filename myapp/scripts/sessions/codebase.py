"""Applications of this codebase, and of those that were made from it: what they are made of.

Such an application is known by its package, which has modules `features` and `settings`; another
one includes the sessions and is otherwise its own affair.
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from myapp.setting_table import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Codebase:
    """The package of an application."""

    package: str

    def settings(self, given: Mapping[str, Any]) -> Reading:
        """The application's own settings. Raises SettingError."""
        module = import_module(f"{self.package}.settings")
        reading: Reading = module.read_application_settings(given, os.environ).reading
        return reading

    def modules(self, name: str) -> Iterator[ModuleType]:
        """The module of this name of each feature that has one."""
        found: Iterator[ModuleType] = import_module(f"{self.package}.features").modules(name)
        return found

    def features(self) -> Sequence[str]:
        """The packages of the features that have settings, or rules for `audit`.

        Neither module is imported for that: one may be broken, which is told where it is used.
        """
        folders = pkgutil.iter_modules(import_module(self.package).__path__, f"{self.package}.")
        packages = [each.name for each in folders if each.ispkg]
        return sorted(
            package
            for package in packages
            if _is_there(f"{package}.settings") or _is_there(f"{package}.audit")
        )


def codebase_of(main: object) -> Codebase | None:
    """The codebase of what an ini file names as its application; None if it is another's."""
    package = getattr(main, "__module__", None) or ""
    # In this order: many an application has a module `settings`, which may be meant for another
    # program, and few have one named `features`.
    named = {"features": "modules", "settings": "read_application_settings"}
    if package and all(_has(f"{package}.{module}", name) for module, name in named.items()):
        return Codebase(package=package)
    return None


def module_of(package: str, name: str) -> ModuleType | None:
    """The module of this name of a feature; None if it has none, or is a single file."""
    is_package = hasattr(import_module(package), "__path__")
    whole = f"{package}.{name}"
    return import_module(whole) if is_package and find_spec(whole) else None


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except Exception:
        # A package that can't be imported is no feature that anybody includes.
        return False


def _has(module: str, name: str) -> bool:
    try:
        return find_spec(module) is not None and hasattr(import_module(module), name)
    except Exception:
        # A module that raises anything is not ours.
        return False
