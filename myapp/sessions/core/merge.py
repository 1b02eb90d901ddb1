"""Two requests changed one session at the same time: both changes survive.

The unit is the top-level key. What this request did is told from what it loaded (`base`) and what
it has now (`mine`); that is done again to what is stored now (`theirs`). On the same key the
later save, which is mine, wins. Pure: none of the three is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from myapp.sessions.core.codec import Content, FlashMessage

T = TypeVar("T")


def merge(
    base: Content, mine: Content, theirs: Content, same: Callable[[object, object], bool]
) -> Content:
    """What to store after a conflict; `same` says whether two values are stored alike."""
    return Content(
        values=_merge_values(base.values, mine.values, theirs.values, same),
        flash=_merge_flash(base.flash, mine.flash, theirs.flash),
        csrf=_changed(base.csrf, mine.csrf, theirs.csrf),
        remember=_changed(base.remember, mine.remember, theirs.remember),
    )


def _changed(base: T, mine: T, theirs: T) -> T:
    return theirs if mine == base else mine


def _merge_values(
    base: dict[str, Any],
    mine: dict[str, Any],
    theirs: dict[str, Any],
    same: Callable[[object, object], bool],
) -> dict[str, Any]:
    # Only keys that this request saw can have been removed by it.
    removed = base.keys() - mine.keys()
    merged = {key: value for key, value in theirs.items() if key not in removed}
    for key, value in mine.items():
        if key not in base or not same(base[key], value):
            merged[key] = value
    return merged


def _merge_flash(
    base: dict[str, list[FlashMessage]],
    mine: dict[str, list[FlashMessage]],
    theirs: dict[str, list[FlashMessage]],
) -> dict[str, list[FlashMessage]]:
    """Messages are told apart by their ids, so that popping removes only what was returned."""
    known, kept, present = _ids(base), _ids(mine), _ids(theirs)
    popped = known - kept
    merged = {
        queue: [message for message in messages if message[0] not in popped]
        for queue, messages in theirs.items()
    }
    for queue, messages in mine.items():
        # One that is present already is of an earlier attempt of this very save.
        added = [m for m in messages if m[0] not in known and m[0] not in present]
        merged[queue] = merged.get(queue, []) + added
    return {queue: messages for queue, messages in merged.items() if messages}


def _ids(flash: dict[str, list[FlashMessage]]) -> set[str]:
    return {message[0] for messages in flash.values() for message in messages}
