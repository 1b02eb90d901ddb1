"""Reads pickles as far as `moving.pickle` allows.

`plain` never calls anything but what `_PLAIN` names: a pickle is a program, and those are the words
that it may use.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, Final

from myapp.sessions.moving.settings import PLAIN, TRUSTED

_PLAIN: Final = frozenset(
    {
        ("datetime", "date"),
        ("datetime", "datetime"),
        ("datetime", "time"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("decimal", "Decimal"),
        ("uuid", "UUID"),
        ("uuid", "SafeUUID"),
        ("builtins", "set"),
        ("builtins", "frozenset"),
        ("builtins", "bytearray"),
        ("collections", "OrderedDict"),
        # By these, pickles of protocol 2 and below write bytes and instances.
        ("_codecs", "encode"),
        ("copyreg", "_reconstructor"),
        ("builtins", "object"),
    }
)

# As Python 2 called them, and as pickles of protocol 2 still do.
_OLD_NAMES: Final = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class NotAllowed(pickle.UnpicklingError):
    """A pickle that `moving.pickle` does not allow to be read."""


class _Plain(pickle.Unpickler):
    """Refuses what is not on the list, before any of it is called."""

    def find_class(self, module: str, name: str) -> Any:
        if (_OLD_NAMES.get(module, module), name) not in _PLAIN:
            raise NotAllowed(f"it holds a {module}.{name}, but moving.pickle is plain")
        return super().find_class(module, name)


class _Shell(pickle.Unpickler):
    """Reads texts, bytes and dictionaries, and knows no name at all."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise NotAllowed(f"it holds a {module}.{name} where only texts and bytes are expected")


def loads(data: bytes, allowed: str) -> Any:
    """The pickled value. Raises NotAllowed, and any error for bytes that are not a pickle."""
    if allowed == TRUSTED:
        return pickle.loads(data)  # noqa: S301  # a setting says so, which says what it means
    if allowed == PLAIN:
        return _Plain(io.BytesIO(data)).load()
    raise NotAllowed("it is pickled, but moving.pickle is never")


def open_shell(data: bytes) -> Any:
    """The texts and bytes in a pickle that an old library wraps around its own: an id, a name.

    Always allowed, since nothing in it can be called. Raises as `loads` does.
    """
    return _Shell(io.BytesIO(data)).load()
