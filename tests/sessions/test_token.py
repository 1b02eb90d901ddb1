"""The secret in the cookie, and the digest under which its session is stored."""

from __future__ import annotations

import hashlib
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myapp.sessions.core.token import (
    TOKEN_BYTES,
    TOKEN_LENGTH,
    digest,
    is_handle,
    is_token,
    new_handle,
    new_token,
    shortened,
)

ALPHABET = string.ascii_letters + string.digits + "-_"

managers = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
tokens = st.text(ALPHABET, min_size=TOKEN_LENGTH, max_size=TOKEN_LENGTH)


def bits(token: str) -> int:
    """The number that a token spells."""
    return int.from_bytes(urlsafe_b64decode(token + "="))


def test_a_token_has_256_bits_none_of_which_is_constant() -> None:
    """ASVS 7.2.3: 256 bits of entropy, every one of them in use."""
    assert TOKEN_BYTES * 8 == 256
    numbers = [bits(new_token()) for _ in range(1000)]
    assert reduce(int.__or__, numbers) == 2**256 - 1
    assert reduce(int.__and__, numbers) == 0


def test_no_two_tokens_are_alike() -> None:
    """ASVS 7.2.3: nor is a handle made from the same randomness."""
    made = [make() for make in (new_token, lambda: new_handle(0)) for _ in range(10_000)]
    assert len(set(made)) == len(made)


def test_what_is_issued_has_the_shape_that_is_accepted() -> None:
    """L3: a new token is one, and a handle never passes for one."""
    assert all(is_token(new_token()) for _ in range(1000))
    handle = new_handle(1_700_000_000_000)
    assert is_handle(handle)
    assert not is_token(handle)


def test_handles_stand_in_the_order_of_their_seconds() -> None:
    """P1: so that new ones share a page of their index; the rest of each is random, 80 bits."""
    moments = range(1_700_000_000_000, 1_700_000_100_000, 1000)
    handles = [new_handle(moment) for moment in moments]
    assert handles == sorted(handles)
    numbers = [bits(new_handle(0)[8:] + "A") for _ in range(1000)]
    assert reduce(int.__or__, numbers) >> 8 == 2**80 - 1
    assert reduce(int.__and__, numbers) == 0


def test_a_handle_has_its_shape_whenever_it_is_made() -> None:
    """I11: its column is no wider, not even after 2106."""
    assert all(is_handle(new_handle(moment)) for moment in (0, 2**42, 2**62))


@given(tokens)
def test_every_text_of_43_url_safe_characters_is_a_token(token: str) -> None:
    """L3: of this shape, and no other."""
    assert is_token(token)
    assert not is_token(token[1:])
    assert not is_token(token + "A")


@pytest.mark.parametrize(
    "strange", ["\n", " ", "\0", "=", "+", "/", ".", "%", '"', ";", "é", "٣", "\u0410", "\ud800"]
)
@pytest.mark.parametrize("at", [0, 20, 42])
def test_one_strange_character_makes_it_no_token(strange: str, at: int) -> None:
    """L3: nor does a line feed at the end, or a letter of another alphabet, pass."""
    assert not is_token("A" * at + strange + "A" * (42 - at))
    assert not is_token("A" * at + strange + "A" * (43 - at))


@given(st.text(max_size=60))
def test_any_text_may_be_asked_about(text: str) -> None:
    """L3: the question never raises, and what passes is safe to digest."""
    assert is_token(text) == (len(text) == TOKEN_LENGTH and set(text) <= set(ALPHABET))


def test_the_digest_is_pinned() -> None:
    """R6: SHA-256 of manager, NUL and token; another form would end every session there is."""
    expected = hashlib.sha256(b"admin_session\0" + b"A" * 43).digest()
    assert digest("admin_session", "A" * 43) == expected
    assert len(expected) == 32


@given(managers, managers, tokens, tokens)
def test_a_digest_belongs_to_one_manager_and_one_token(
    manager: str, other_manager: str, token: str, other_token: str
) -> None:
    """L10: the same token of another manager has another digest."""
    same = (manager, token) == (other_manager, other_token)
    assert (digest(manager, token) == digest(other_manager, other_token)) is same


def test_names_and_tokens_do_not_run_together() -> None:
    """L10: where the name ends and the token begins is part of the digest."""
    text = "session" + "A" * 43
    made = {digest(text[:at], text[at:]) for at in range(1, len(text))}
    assert len(made) == len(text) - 1


def test_a_stolen_digest_is_no_token_of_anything() -> None:
    """R6: hash-then-hash-again (scs HashTokenInStore): sent as a cookie it means another row."""
    stored = digest("session", new_token())
    sent = urlsafe_b64encode(stored).decode().rstrip("=")
    assert is_token(sent)
    assert digest("session", sent) != stored


def test_neither_the_digest_nor_its_short_form_shows_the_token() -> None:
    """R6: no stretch of six characters of a token stands in what is stored or logged."""
    token = ALPHABET[:43]
    stored = digest("session", token)
    shown = f"{stored!r} {stored.hex()} {urlsafe_b64encode(stored).decode()} {shortened(stored)}"
    pieces = ("".join(piece) for piece in zip(*(token[at:] for at in range(6)), strict=False))
    assert not [piece for piece in pieces if piece in shown]


def test_a_log_line_shows_8_digits_of_a_digest_at_most() -> None:
    """R6: enough to tell sessions apart, too little to look one up."""
    stored = digest("session", "A" * 43)
    assert shortened(stored) == stored.hex()[:8]
    assert len({shortened(digest("session", f"{n:043}")) for n in range(1000)}) == 1000
