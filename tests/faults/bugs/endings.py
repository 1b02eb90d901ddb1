"""Bugs in how sessions end, by themselves or by a limit, and in how long they and locks last."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from msgspec.structs import replace

from tests.faults.bugs.bug import Replacement, bug, checker, pytest


@bug("no marker", function="myapp.sessions.core.ending:marker", caught_by=checker("late"))
def _leaves_no_marker(marker: Replacement, *arguments: Any, **options: Any) -> Any:
    return replace(marker(*arguments, **options), expires_at=None)


@bug(
    "a limit of a user's sessions that is too high",
    function="myapp.sessions.sql.store:SqlStore.end_oldest",
    caught_by=checker("limit", 8000),
)
def _keeps_too_many(
    end_oldest: Replacement, store: Any, manager: str, user_id: str, keep: int, now: int
) -> Any:
    return end_oldest(store, manager, user_id, keep + 5, now)


@bug(
    "a limit of sessions that goes by each machine's clock",
    function="myapp.sessions.core.saving:Save._moment_of_sign_in",
    caught_by=pytest("tests/sessions/test_limits.py", "sqlite"),
)
def _believes_each_clock(moment_of_sign_in: Replacement, save: Any) -> Any:
    return save.intent.sign_in and save.intent.sign_in.at


@bug(
    "a cookie that lasts as long as the settings say, whatever the row says",
    function="myapp.sessions.web.headers:_cookie",
    caught_by=pytest("tests/sessions/test_truth.py", "max_age"),
)
def _outlives_its_row(cookie: Replacement, kind: Any, loaded: Any) -> Any:
    deadline = kind.clock() + kind.settings.lifetime
    return cookie(kind, replace(loaded, row=replace(loaded.row, deadline=deadline)))


@bug(
    "a block that is stored though it outlived its lock",
    function="myapp.sessions.core.locking:_undone_if_too_late",
    caught_by=pytest("tests/sessions/test_lock.py", "HeldTooLong"),
)
def _undoes_nothing(undone_if_too_late: Replacement, state: Any, until: int) -> Any:
    return nullcontext()
