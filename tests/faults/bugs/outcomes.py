"""Bugs in what becomes of a session when its request's transaction ends this way or that."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from myapp.sessions.core.saved import settle
from tests.faults.bugs.bug import Replacement, bug, checker, pytest


@bug(
    "cookie before commit",
    function="myapp.sessions.web.finish:_was_committed",
    caught_by=checker("lost"),
)
def _takes_it_for_committed(was_committed: Replacement, kind: Any, joined: Any) -> bool:
    return True


@bug(
    "what the session remembers moved before the commit",
    function="myapp.sessions.web.transaction:SessionsDataManager._save",
    caught_by=checker("write", 8000),
)
def _settles_too_early(save: Replacement, manager: Any, state: Any, transaction: Any) -> None:
    save(manager, state, transaction)
    saved = manager._record.saved.get(state.kind.name)
    if saved is not None:
        settle(state, saved)


@bug(
    "mark_changed missing",
    function="myapp.sessions.sql.joined:JoinedWriter.__init__",
    caught_by=checker("write"),
)
def _marks_nothing(init: Replacement, writer: Any, connect: Any, joined: Any, store: Any) -> None:
    init(writer, connect, lambda: None, store)


@bug(
    "a sign-in kept after an abort that rolled its user back",
    function="myapp.sessions.web.finish:_save_after",
    caught_by=checker("sign-up"),
)
def _keeps_a_sign_in(save_after: Replacement, transaction: Any, *others: Any) -> Any:
    return save_after(replace(transaction, wrote=False), *others)


@bug(
    "a sign-in that only the ORM's writes can drop",
    function="myapp.sessions.sql.written:_has_written",
    caught_by=pytest("tests/outcomes/test_signed_in_after_rollback.py", "sqlite"),
)
def _asks_no_database(has_written: Replacement, connection: Any) -> bool:
    return False
