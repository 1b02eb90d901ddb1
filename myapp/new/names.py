"""What a package may be called."""

from __future__ import annotations

import keyword
import sys
from importlib.metadata import packages_distributions
from typing import Final

from myapp.features import FOUNDATION
from myapp.new.answers import PACKAGE
from myapp.new.files import CannotMake

_LONGEST: Final = 30

# Prefixes of settings, and folders of the codebase.
_OURS: Final = frozenset({*FOUNDATION, "database", "docs", "session", "test", "tests", "wheels"})


def refuse_unusable(name: str, features: tuple[str, ...] = ()) -> None:
    """Raise CannotMake, in one line, for a name that can't be a package's."""
    expected = _expected(name, features)
    if expected is not None:
        raise CannotMake(f"package = {name[:60]!r}: expected {expected}")


def _expected(name: str, features: tuple[str, ...]) -> str | None:
    if not PACKAGE.fullmatch(name):
        return "lower-case letters, digits and single underscores, beginning with a letter: my_blog"
    if len(name) > _LONGEST:
        return f"at most {_LONGEST} characters"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "a name that is not a Python keyword"
    if name in sys.stdlib_module_names:
        return "a name that is not a module of the standard library"
    if name in _OURS or name in features:
        return "a name that the codebase does not use itself"
    return _installed(name)


def _installed(name: str) -> str | None:
    distributions = packages_distributions().get(name, ())
    if name == "myapp" or distributions:
        owner = distributions[0] if distributions else name
        return f"a name that is not taken by an installed package ({owner})"
    return None
