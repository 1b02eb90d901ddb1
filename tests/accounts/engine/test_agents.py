"""Browsers in words."""

from __future__ import annotations

import pytest

from myapp.accounts.agents import UNKNOWN, in_words

GECKO = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0"
)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (GECKO, "Firefox on Linux"),
        (EDGE, "Edge on Windows"),
        (GECKO + "x" * 1_000_000, "Firefox on Linux"),
        ("curl/8.0", "curl"),
        (None, UNKNOWN),
        ("", UNKNOWN),
        ("x" * 1_000_000, UNKNOWN),
        ("\0\ud800\r\nBcc: ann@example.com", UNKNOWN),
    ],
)
def test_a_browser_is_known_by_its_words(agent: str | None, words: str) -> None:
    """A10: junk is an unknown browser."""
    assert in_words(agent) == words


@pytest.mark.parametrize("sign", ["\r\n", "\0", "\u2028", "\u202e", "\ud800", "\x1b[31m"])
def test_words_are_one_line_that_can_be_shown(sign: str) -> None:
    """A10: whatever a browser calls itself."""
    for agent in (f"Fire{sign}fox/1.0", f"{sign}bot/1.0 (Linux{sign})", GECKO.replace(" ", sign)):
        assert in_words(agent).isprintable()


def test_words_hold_no_address_to_follow() -> None:
    """A6, A15: a mail of ours recommends no page of whoever signs somebody else up."""
    for page in ("http://evil.example/x", "www.evil.example", "me@evil.example", "evil。example"):
        words = in_words(f"Your prize: {page}/1.0 CFNetwork/1 Darwin/1")
        assert not set(words) & set("./:@。"), words
        assert "evil" in words
