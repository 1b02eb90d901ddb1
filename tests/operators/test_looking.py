"""`stats`, `list`, `show`, `user`, `watch`: what an operator sees."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from harness.processes import ROOT, clean_environment
from myapp.scripts.sessions import cli
from myapp.sessions.core.store import Ending
from tests.command_line import called
from tests.operators.conftest import DAY, Shop

HOUR = 3_600_000


def test_stats_count_each_kind_of_row(shop: Shop) -> None:
    """O1: the same on each database, by the idle timeout of today."""
    shop.has(user_id="ann")
    shop.has(age=2 * DAY, idle=2 * HOUR)
    shop.has(age=3 * DAY, idle=2 * DAY)
    shop.has()
    marked = shop.rows()[0]
    live = len(shop.rows()) - 1
    shop.store.end([Ending(marked.digest, "signed_out", shop.now + HOUR)])
    found = json.loads(shop.says("stats", "--json"))
    assert found["rows"] == 4
    assert (found["markers"], found["live"] + found["expired"]) == (1, live)
    assert sum(found["ages"].values()) == sum(found["idle"].values()) == found["live"]
    assert found["table_bytes"] or found["file_bytes"]


def test_stats_tell_of_the_rows_of_other_managers(shop: Shop) -> None:
    """O1: bytes, `sweep` and `check` count these as well."""
    shop.has()
    shop.has_rows([replace(shop.a_row(), manager="admin") for _ in range(3)])
    found = json.loads(shop.says("stats", "--json"))
    assert (found["rows"], found["rows_of_other_managers"]) == (1, 3)


def test_stats_are_the_same_by_looking_at_each_session(any_shop: Shop) -> None:
    """O1, I10: a store of one's own needs no more than it must have."""
    any_shop.has(user_id="ann")
    any_shop.has(age=2 * DAY, idle=2 * HOUR)
    any_shop.has(age=40 * DAY, idle=2 * DAY)
    found = json.loads(any_shop.says("stats", "--json"))
    counts = [found[name] for name in ("live", "signed_in", "anonymous", "expired")]
    assert counts == [2, 1, 1, 1]
    assert [*found["ages"].values()] == [1, 0, 1, 0, 0]
    assert [*found["idle"].values()] == [1, 0, 1, 0, 0]


def test_a_list_has_the_newest_first_and_only_what_is_asked_for(any_shop: Shop) -> None:
    """O1: by user, age, idle time and address, expired ones left out."""
    old = any_shop.has(age=3 * DAY, user_id="ann", address="192.0.2.1")
    new = any_shop.has(age=HOUR, idle=HOUR, user_id="bob")
    any_shop.has(age=5 * DAY, idle=2 * DAY)

    def handles(*words: str) -> list[str]:
        listed: list[dict[str, Any]] = json.loads(any_shop.says("list", "--json", *words))
        return [each["handle"] for each in listed]

    assert handles() == [new, old]
    assert handles("--limit", "1") == [new]
    assert handles("--user", "ann") == handles("--address", "192.0.2.1") == [old]
    assert handles("--older-than", "2d") == [old]
    assert handles("--idle", "30m") == [new]


def test_a_list_under_a_pipe_is_a_whole_line_for_each_session(shop: Shop) -> None:
    """O1: nothing is cut, coloured or drawn, and nothing in it moves a terminal's cursor."""
    agent = "Agent\x1b[31m " + "x" * 200
    handle = shop.has(user_id="ann", user_agent=agent)
    head, line = shop.says("list").splitlines()
    assert head.split()[:2] == ["handle", "user"]
    assert line.startswith(handle)
    assert "x" * 200 in line
    assert "\x1b" not in line


def test_one_session_is_shown_with_its_values_hidden(any_shop: Shop) -> None:
    """O1, R6: they are shown on request; what opens or forges something, never."""
    token, handle = any_shop.signed_in(cart=["tea", "milk"], code="secret")
    with any_shop.manager.session(token) as session:
        csrf = session.csrf_token
    masked = any_shop.says("show", handle)
    assert re.search(r"^  cart +\(list, 2\)$", masked, re.MULTILINE)
    assert "secret" not in masked
    shown = any_shop.says("show", handle, "--data", "--json")
    assert json.loads(shown)["data"] == {"cart": ["tea", "milk"], "code": "secret"}
    assert csrf is not None
    for secret in (token, csrf):
        assert secret not in masked + shown


def test_the_keys_of_a_session_are_shown_as_they_are(any_shop: Shop) -> None:
    """O1: letter for letter, and nothing in them moves a terminal's cursor."""
    held: dict[str, Any] = {"last_page": 1, "\x1b[2J\x9b31m\u202e": 2}
    _, handle = any_shop.signed_in(**held)
    shown = any_shop.says("show", handle)
    assert re.search(r"^  last_page +\(int\)$", shown, re.MULTILINE)
    assert re.search(r"^  �\[2J�31m� +\(int\)$", shown, re.MULTILINE)


def test_json_is_ascii_and_what_any_program_reads(any_shop: Shop) -> None:
    """O1: a control character of C1 is escaped, and a number that JSON lacks is a text."""
    odd: dict[str, Any] = {
        "name": "Zoë\x9b31m",
        "rates": [float("inf"), {"most": float("-inf")}],
        "size": 1.5,
    }
    _, handle = any_shop.signed_in(**odd)
    shown = any_shop.says("show", handle, "--data", "--json")
    assert shown.isascii()
    data = json.loads(shown, parse_constant=pytest.fail)["data"]
    assert data == odd | {"rates": ["inf", {"most": "-inf"}]}


def test_a_session_that_can_not_be_read_is_shown_all_the_same(shop: Shop) -> None:
    """L7: with what its row says."""
    handle = shop.has(data=b"\xff")
    assert "the data can't be read" in shop.says("show", handle)


def test_a_handle_that_begins_with_a_hyphen_is_no_option(any_shop: Shop) -> None:
    """O1: one of 64 does, and of 4096 with two."""
    for handle in ("-" + "a" * 21, "--" + "b" * 20):
        any_shop.has(handle=handle)
        assert handle in any_shop.says("show", handle)
        assert any_shop.says("end", handle) == "1 session ended\n"


@pytest.mark.parametrize("handle", ["a" * 22, "-" * 22, "no handle"])
def test_an_unknown_handle_is_one_line(any_shop: Shop, handle: str) -> None:
    """O1: for looking and for ending."""
    for command in ("show", "end"):
        result = any_shop.run(command, handle)
        assert result.exit_code == 1
        assert re.fullmatch(rf"Error: .*no session has the handle {handle}\n", result.stderr)


def test_watching_prints_a_line_for_each_look_under_a_pipe(any_shop: Shop) -> None:
    """O1: as JSON too."""
    any_shop.has()
    words = ("watch", "--interval", "1s", "--times", "1")
    assert re.fullmatch(r"\S+ \S+Z live=1 .*\n", any_shop.says(*words))
    assert json.loads(any_shop.says(*words, "--json"))["live"] == 1


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_gets_a_picture_and_watching_ends_by_q(file_shop: Shop, no_color: str) -> None:
    """O1: drawn, with NO_COLOR without colours."""
    shop = file_shop
    shop.has()
    assert "█" in on_terminal(shop, "stats", no_color=no_color)
    assert "live" in on_terminal(shop, "watch", "--interval", "1h", typed="q", no_color=no_color)
    checked = on_terminal(shop, "check", no_color=no_color)
    assert ("\x1b[32m" in checked) is not bool(no_color)


def on_terminal(shop: Shop, *words: str, typed: str = "", no_color: str = "") -> str:
    """What a command shows on a terminal, where somebody types."""
    ours, theirs = pty.openpty()
    extra = {"NO_COLOR": no_color, "TERM": "xterm-256color", "SESSION_URL": shop.url}
    environment = clean_environment({k: v for k, v in extra.items() if v})
    environment["PYTHONPATH"] = str(ROOT)
    command = [str(Path(sys.executable).with_name("myapp-sessions")), str(shop.ini), *words]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        text = "".join(_read(ours))
        assert process.wait(60) == 0, text
    os.close(ours)
    return text


def _read(terminal: int) -> Any:
    while True:
        try:
            text = os.read(terminal, 10_000)
        except OSError:  # The other side was closed.
            return
        yield text.decode("utf-8", "replace")


def test_an_outage_is_one_line_in_a_process_of_its_own() -> None:
    """O1: without a configured log, too."""
    down = {"DATABASE_URL": "postgresql://u@127.0.0.1:1/d"}
    program = Path(sys.executable).with_name("myapp-sessions")
    command: list[str | Path] = [program, ROOT / "production.ini", "stats"]
    done = subprocess.run(command, env=clean_environment(down), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"Error: the session store is unavailable: .*\n", done.stderr)


def test_every_command_has_an_example_and_its_exit_status() -> None:
    """O1: in its own help; and each knows --json."""
    for name, command in cli.commands.items():
        text = called(cli, ROOT / "production.ini", name, "--help").output
        assert f"myapp-sessions {'shop' if name == 'schema' else 'production'}.ini {name}" in text
        assert "Exit status:" in text
        assert "--json" in text, command


def test_a_wrong_word_is_answered_with_the_nearest_right_one(any_shop: Shop) -> None:
    """O1: a command's name, and an option's."""
    assert "The nearest is sweep." in any_shop.run("swep").stderr
    assert "--older-than" in any_shop.run("list", "--older").stderr


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_moments_that_no_calendar_has_are_shown_all_the_same(
    shop: Shop, words: tuple[str, ...]
) -> None:
    """O1: a broken clock has written them, and other sessions are to be seen beside."""
    shop.has(user_id="ann")
    broken = shop.has(age=-(2**61), idle=-(2**61), user_id="ann", signed_in_at=2**61)
    for command in (("list",), ("user", "ann"), ("show", broken)):
        assert "ms since 1970" in shop.says(*command, *words)
