"""`end`: what is ended stays ended, whoever does what at the same time."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

import myapp.sessions.sql.statements as sql
from harness.processes import ROOT, clean_environment
from myapp.scripts.sessions import end as end_command
from myapp.sessions.core.ending_many import end_many
from myapp.sessions.core.lifetime import to_datetime
from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.core.survey import Which
from myapp.sessions.sql.store import SqlStore
from tests.operators.conftest import DAY, Shop

HOUR = 3_600_000


def test_sessions_are_ended_in_every_way(any_shop: Shop) -> None:
    """O3: one, a user's, older than, before a moment, all; those that are not meant stay."""
    users = [any_shop.has(user_id="ann") for _ in range(3)]
    old, older, oldest = (any_shop.has(age=days * DAY) for days in (2, 5, 9))
    young = any_shop.has()

    def left() -> set[str]:
        return {str(row.handle) for row in any_shop.rows()}

    assert any_shop.says("end", users[0]) == "1 session ended\n"
    assert json.loads(any_shop.says("end", "--user", "ann", "--yes", "--json")) == {"ended": 2}
    assert left() == {old, older, oldest, young}
    assert any_shop.says("end", "--older-than", "8d", "--yes") == "1 session ended\n"
    moment = (to_datetime(any_shop.now) - timedelta(days=4)).isoformat()
    assert any_shop.says("end", "--before", moment, "--yes") == "1 session ended\n"
    assert left() == {old, young}
    assert any_shop.says("end", "--all", "--yes", "--batch", "1") == "2 sessions ended\n"
    assert any_shop.says("end", "--all") == "0 sessions ended\n"
    assert left() == set()


def test_an_ended_session_does_not_come_back(shop: Shop) -> None:
    """O3, S3: neither by its token nor by a request that had loaded it before."""
    token, _ = shop.signed_in()
    with shop.manager.session(token) as session:
        session["late"] = True
        assert shop.says("end", "--all", "--yes") == "1 session ended\n"
    assert shop.manager.load(token) is None
    assert shop.rows() == []


def test_another_kind_of_session_and_expired_ones(shop: Shop) -> None:
    """O3, I9: the former stay; the latter end too, since this machine's clock may be wrong."""
    shop.has(age=9 * DAY, idle=9 * DAY)
    _, handle = shop.signed_in()
    row = next(row for row in shop.rows() if row.handle == handle)
    shop.store.insert(_as(row, "admin_session"))
    assert shop.says("end", "--all", "--yes") == "2 sessions ended\n"
    assert [row.manager for row in shop.store.iterate("admin_session")] == ["admin_session"]


def _as(row: StoredSession, manager: str) -> StoredSession:
    return replace(row, manager=manager, digest=os.urandom(32), handle="b" * 22)


def test_one_that_is_renewed_meanwhile_ends_too(shop: Shop) -> None:
    """O3: also if its new key lies where was looked already."""
    before = [shop.a_row(digest=bytes([1, *divmod(n, 256)]).ljust(32)) for n in range(sql.BATCH)]
    last = shop.a_row(digest=b"\xff" * 32)
    shop.has_rows([*before, last])
    batches = end_many(shop.manager, Which(manager="session"))
    ended = next(batches)
    marker = Ending(last.digest, "renewed", shop.now + HOUR)
    assert shop.store.renew(marker, last.version, replace(last, digest=bytes(32)))
    assert ended + sum(batches) == len(before) + 1
    assert shop.rows() == []


def test_one_that_is_renewed_between_look_and_end_ends_too(shop: Shop) -> None:
    """O3: its handle leads to what it has become."""
    token, _ = shop.signed_in()

    class Renewing(SqlStore):
        """Renews the session right before it is ended, once."""

        def end(self, endings):  # type: ignore[no-untyped-def]
            if tokens:
                with manager.session(tokens.pop()) as session:
                    session.renew()
            return super().end(endings)

    tokens, manager = [token], shop.manager
    other = Renewing(shop.url)
    shop.store.close()
    shop.store = other
    assert sum(end_many(shop.manager, Which(manager="session"))) == 1
    assert shop.rows() == []


def test_nobody_is_ended_without_being_asked_about(any_shop: Shop) -> None:
    """O3: it says how many; where nobody can answer it says what to write."""
    any_shop.has()
    result = any_shop.run("end", "--all")
    assert result.exit_code == 1
    assert result.stderr == "Error: End 1 session? Nobody can answer here: pass --yes\n"
    assert len(any_shop.rows()) == 1


def test_the_question_is_no_part_of_the_output(file_shop: Shop) -> None:
    """O1, O3: it is asked on standard error, so that a program can read what `--json` says."""
    file_shop.has()
    ours, theirs = pty.openpty()
    command: list[str | Path] = [Path(sys.executable).with_name("myapp-sessions")]
    variables = clean_environment({"SESSION_URL": file_shop.url}) | {"PYTHONPATH": str(ROOT)}
    os.write(ours, b"y\n")
    done = subprocess.run(
        [*command, file_shop.ini, "end", "--all", "--json"],
        stdin=theirs,
        capture_output=True,
        text=True,
        env=variables,
        check=True,
    )
    os.close(ours)
    os.close(theirs)
    assert json.loads(done.stdout) == {"ended": 1}
    assert "End 1 session?" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "Choose sessions in exactly one way"),
        (("--all", "--user", "ann"), "Choose sessions in exactly one way"),
        (("a" * 22, "--all"), "Choose sessions in exactly one way"),
        (("--before", "2026-11-26T03:00"), "expected now, or a moment with its time zone"),
        (("--older-than", "soon"), "expected a duration such as 30d"),
    ],
)
def test_what_is_vague_ends_nothing(any_shop: Shop, words: tuple[str, ...], expected: str) -> None:
    """O3: a moment without its time zone is another one on another machine."""
    any_shop.has()
    result = any_shop.run("end", "--yes", *words)
    assert (result.exit_code, len(any_shop.rows())) == (2, 1)
    assert expected in result.stderr


def test_ending_can_be_interrupted_and_repeated(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O3: what was done stays done, and the exit status is that of Ctrl-C."""
    for _ in range(6):
        shop.has()

    def interrupted(*arguments: object) -> Iterator[int]:
        yield next(end_many(*arguments))  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(end_command, "end_many", interrupted)
        result = shop.run("end", "--all", "--yes", "--batch", "2")
    assert result.exit_code == 130
    assert result.stderr == "interrupted: 2 of 6 ended; run the command again to continue\n"
    assert len(shop.rows()) == 4
    assert shop.says("end", "--all", "--yes") == "4 sessions ended\n"


def test_two_who_end_all_at_once_do_not_wait_for_each_other(shop: Shop) -> None:
    """O3: each session ends once, and both come to an end."""
    for _ in range(40):
        shop.has()
    start, ended = threading.Barrier(2), list[int]()

    def end() -> None:
        start.wait()
        ended.append(sum(end_many(shop.manager, Which(manager="session"), batch=3)))

    threads = [threading.Thread(target=end) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (sum(ended), len(ended), shop.rows()) == (40, 2, [])
