"""Two requests changed one session at the same time: both changes survive.

The unit is the top-level key. The changes of this request are the difference between what it loaded
(`base`) and what it has now (`mine`); they are applied to what is stored now (`theirs`). On the
same key, the later save, which is mine, wins. None of the three is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec.structs import replace

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
        proof=_changed(base.proof, mine.proof, theirs.proof),
    )


def together(mine: Content, other: Content) -> Content:
    """One session's contents with those of another, whose values win; its CSRF token does not."""
    flash = {queue: [*messages] for queue, messages in mine.flash.items()}
    for queue, messages in other.flash.items():
        flash.setdefault(queue, []).extend(messages)
    return replace(mine, values=mine.values | other.values, flash=flash)


def bring_up_to_date(content: Content, present: Content) -> None:
    """Let a content hold what another holds, in the lists and dictionaries that it has.

    A view may have one of them in its hands, and change it later.
    """
    _kept(content.values, present.values)
    content.flash, content.csrf = present.flash, present.csrf
    content.remember, content.proof = present.remember, present.proof


def _kept(old: Any, new: Any) -> Any:
    """The new value, in the old list or dictionary where there is one."""
    if old is new or type(old) is not type(new):
        return new
    if isinstance(old, dict):
        members = {key: _kept(old.get(key), value) for key, value in new.items()}
        old.clear()
        old.update(members)
        return old
    if isinstance(old, list):
        old[:] = _kept_members(old, new)
        return old
    return new


def _kept_members(old: list[Any], new: list[Any]) -> list[Any]:
    if len(old) == len(new):
        return [_kept(*pair) for pair in zip(old, new, strict=True)]
    # Which one is which can only be told by what they hold.
    left = [*old]
    kept = []
    for member in new:
        place = next((n for n, each in enumerate(left) if each == member), None)
        kept.append(member if place is None else left.pop(place))
    return kept


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
