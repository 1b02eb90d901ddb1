"""Who signs in, as each database can hold it: what one would refuse or change, none gets."""

from __future__ import annotations

from typing import Final
from uuid import UUID

MAX_USER_ID: Final = 255
MAX_GENERATION: Final = 32
MAX_REASON: Final = 16


def user_name(user_id: object) -> str:
    """A user's id as it is stored. Raises TypeError for anything that can't be an id, such as None
    (`"None"` may be somebody's name), and ValueError for text that some database can't store.
    """
    if isinstance(user_id, bool) or not isinstance(user_id, str | int | UUID):
        raise TypeError(f"a user id must be a str, an int or a UUID, not {user_id!r}")
    # An enum's member has a name of its own for `str`.
    if isinstance(user_id, str):
        name = str.__str__(user_id)
    else:
        name = int.__repr__(user_id) if isinstance(user_id, int) else UUID.__str__(user_id)
    if not name or len(name) > MAX_USER_ID or not name.isprintable():
        raise ValueError(f"a user id must be printable text of 1 to {MAX_USER_ID} characters")
    return name


def checked_generation(generation: object) -> bytes | None:
    """A user's security generation. Raises TypeError and ValueError, which never show it."""
    if generation is None:
        return None
    if not isinstance(generation, bytes):
        kind = type(generation).__qualname__
        raise TypeError(f"a user's security generation must be bytes or None, not {kind}")
    if len(generation) > MAX_GENERATION:
        raise ValueError(
            f"a user's security generation must have at most {MAX_GENERATION} bytes, not"
            f" {len(generation)}: use a hash of it"
        )
    return generation


def checked_method(method: object) -> str | None:
    """How a user proved who they are. Raises TypeError and ValueError."""
    if method is None:
        return None
    if not isinstance(method, str):
        raise TypeError(f"a sign-in's method must be a str or None, not {method!r}")
    if not method.isprintable():
        raise ValueError(f"a sign-in's method must be printable text, not {method!r}")
    return str.__str__(method)


def checked_reason(reason: object) -> str:
    """Why a session ends. Raises TypeError and ValueError."""
    if not isinstance(reason, str):
        raise TypeError(f"a reason must be a str, not {reason!r}")
    if not 0 < len(reason) <= MAX_REASON or not reason.isprintable():
        raise ValueError(
            f"a reason must have 1 to {MAX_REASON} printable characters, not {reason!r}"
        )
    return str.__str__(reason)
