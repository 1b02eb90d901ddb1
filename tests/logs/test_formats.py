"""How a line of the log looks, and what never stands in one."""

import json
import logging
import secrets
from uuid import uuid4

import pytest

from myapp.logs.format import take_over
from myapp.logs.masking import HIDDEN, Masking
from myapp.logs.settings import Format
from tests.logs.conftest import Written

log = logging.getLogger("myapp.somewhere")

NASTY = "x\r\nERROR [root] forged \x1b[2J\x9b \x85\u2028\u202e\x00 \ud800 end"

FORMATS: tuple[Format, ...] = ("text", "keyvalue", "json")
every_format = pytest.mark.parametrize("format", FORMATS)


@every_format
def test_nobody_forges_a_line(written: Written, format: Format) -> None:
    """O5: line breaks, a terminal's escapes and what turns the writing around are spelt out."""
    take_over(format, Masking())
    extra = {"user_agent": NASTY, NASTY: 1}
    record = log.makeRecord(log.name, logging.INFO, "", 1, "agent %s", (NASTY,), None, extra=extra)
    # Not by way of the logger: pytest's processes can't send each other half a character.
    written.handler.handle(record)
    first, *others = written.lines
    assert all(line.startswith("    ") for line in others)
    assert first.isprintable()
    assert all(line.isprintable() for line in others)
    assert "end" in first
    written.text.encode("utf-8")


@every_format
def test_no_token_stands_in_a_line(written: Written, format: Format) -> None:
    """R6: in a message, a field or a traceback, of a session, a form or a link."""
    take_over(format, Masking(["/reset/{token}", "tell/{token:.*}"]))
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    log.info("Cookie: s=%s; t=\x1b%s\nX-CSRF-Token: %s", token, token, csrf, extra={"all": [token]})
    try:
        raise ValueError(f"GET /reset/short?a and /tell/{token}=.trailing and //RESET//{token}")
    except ValueError:
        log.exception("failed")
    assert token not in written.text
    assert csrf not in written.text
    assert "short" not in written.text
    assert "trailing" not in written.text
    assert written.text.count(HIDDEN) >= 7


@every_format
def test_what_is_no_token_stays(written: Written, format: Format) -> None:
    """O5: a user's id, a session's handle, a function's name."""
    take_over(format, Masking(["/reset/{token}"]))
    kept = [
        str(uuid4()),
        uuid4().hex,
        secrets.token_urlsafe(16),
        "a_function_with_a_name_of_many_words",
        "-" * 40,
    ]
    log.info("%s %s %s %s %s", *kept)
    assert all(each in written.text for each in kept)


def test_json_is_an_object_a_line(written: Written) -> None:
    """O5: with what `extra` names beside the standard fields, in their types."""
    take_over("json", Masking())
    try:
        raise ValueError("no\nsuch")
    except ValueError:
        log.exception("failed %d times", 2, extra={"refused": 3, "ok": False, "who": None})
    (line,) = written.lines
    fields = json.loads(line)
    assert fields["message"] == "failed 2 times"
    assert (fields["level"], fields["logger"]) == ("error", "myapp.somewhere")
    assert (fields["refused"], fields["ok"], "who" in fields) == (3, False, False)
    assert fields["time"].endswith("Z")
    assert fields["exception"].endswith("ValueError: no\nsuch")


def test_nobody_gives_a_line_another_time_or_level(written: Written) -> None:
    """O5: by a field of that name; and what JSON has no word for is a text."""
    take_over("json", Masking())
    extra = {"time": "1970", "level": "debug", "took": float("inf"), "ratio": float("nan")}
    log.warning("here", extra=extra, stack_info=True)
    (line,) = written.lines
    fields = json.loads(line, parse_constant=pytest.fail)
    assert (fields["level"], fields["level_"], fields["time_"]) == ("warning", "debug", "1970")
    assert fields["time"] > "2026"
    assert (fields["took"], fields["ratio"]) == ("inf", "nan")
    assert "test_nobody_gives_a_line" in fields["stack"]


def test_pairs_are_quoted_where_they_have_to_be(written: Written) -> None:
    """O5: so that a reader finds where a value ends."""
    take_over("keyvalue", Masking())
    log.warning("two words", extra={"path": "/a", "agent": 'a "b" \\', "a b": "", "n": 1.5})
    (line,) = written.lines
    assert line.endswith('message="two words" path=/a agent="a \\"b\\" \\\\" a_b="" n=1.5')
    assert " level=warning logger=myapp.somewhere process=" in line


def test_text_keeps_the_layout_of_the_ini_file(written: Written) -> None:
    """O5: with the fields behind the message, however often an application is made."""
    for _ in range(3):
        take_over("text", Masking())
    log.info("session ended", extra={"reason": "signed_out"})
    assert written.lines == ["INFO [myapp.somewhere] session ended reason=signed_out"]


def test_a_formatter_of_ones_own_is_kept(written: Written) -> None:
    """O5: whoever has chosen one knows why."""

    class Own(logging.Formatter):
        pass

    own = Own()
    written.handler.setFormatter(own)
    take_over("json", Masking())
    assert written.handler.formatter is own


def test_a_printed_mail_shows_its_link(written: Written) -> None:
    """A5: a developer without a mail server is to follow it."""
    take_over("text", Masking(["/reset/{token}"]))
    token = secrets.token_urlsafe(32)
    log.info("To: ann\n\n/reset/%s", token, extra={"shows_links": True})
    assert written.lines == ["INFO [myapp.somewhere] To: ann", "    ", f"    /reset/{token}"]
