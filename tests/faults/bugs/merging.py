"""Bugs in how two requests' changes, or two sessions, become one."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from myapp.sessions.core.ending import ended
from tests.faults.bugs.bug import Replacement, bug, checker, pytest

ENDINGS = "myapp.sessions.core.saving:Save._endings"
"""What a save ends besides: the sessions that were merged into this one."""


@bug(
    "a merge that forgets removals",
    function="myapp.sessions.core.merge:_merge_values",
    caught_by=checker("write", 8000),
)
def _removes_nothing(merge: Replacement, base: Any, mine: Any, theirs: Any, same: Any) -> Any:
    return theirs | merge(base, mine, theirs, same)


@bug(
    "a merge of sessions that leaves the other alive",
    function=ENDINGS,
    caught_by=checker("ended", 8000),
)
def _ends_no_other(endings: Replacement, save: Any) -> Any:
    return []


@bug(
    "a merge of sessions that misses what others store in the other meanwhile",
    function=ENDINGS,
    caught_by=checker("write", 20000),
)
def _ends_any_version(endings: Replacement, save: Any) -> Any:
    return [replace(each, version=None) for each in endings(save)]


@bug(
    "a merge of sessions that keeps what one held that was ended meanwhile",
    function="myapp.sessions.core.draft:Draft.absorb_again",
    caught_by=checker("foreign", 20000),
)
def _keeps_what_ended(absorb_again: Replacement, draft: Any, find: Any) -> None:
    draft.absorb = tuple(
        each if find(each.row.digest) else replace(each, before=each.after) for each in draft.absorb
    )
    absorb_again(draft, find)


@bug(
    "a merge of sessions that tells of an end that it was not",
    function="myapp.sessions.core.saving:Save._saved",
    caught_by=checker("ended", 20000),
)
def _tells_too_much(saved: Replacement, save: Any, row: Any, events: Any, **options: Any) -> Any:
    others = [each for each in events if getattr(each, "reason", None) != "merged"]
    merged = [ended(save.kind, each.row, "merged") for each in save.intent.absorb]
    return saved(save, row, [*others, *merged], **options)


@bug(
    "a session that merges itself",
    function="myapp.sessions.core.session:Session._has_absorbed",
    caught_by=pytest("tests/sessions/session/test_merging.py", "merge_itself"),
)
def _does_not_know_itself(has_absorbed: Replacement, session: Any, digest: bytes) -> bool:
    return any(each.row.digest == digest for each in session._state.intent.absorb)
