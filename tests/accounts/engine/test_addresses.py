"""Addresses in one spelling, which is still that of the same mailbox."""

from __future__ import annotations

import time

import pytest

from myapp.accounts.addresses import NotAnAddress, normalised


@pytest.mark.parametrize(
    ("typed", "known_as"),
    [
        ("  ANN@Example.COM\n", "ann@example.com"),
        ("ann@xn--strae-oqa.de", "ann@straße.de"),
        ("ann@STRASSE.de", "ann@strasse.de"),
        ("ann@βόλος.com", "ann@βόλος.com"),
        ("GROß@example.com", "groß@example.com"),
        ("gro\u0308ße@example.com", "größe@example.com"),
    ],
)
def test_an_address_has_one_spelling(typed: str, known_as: str) -> None:
    """A3: and a mail to it reaches nobody else: `ß` and `ss` are two domains."""
    assert normalised(typed) == known_as


# A fullwidth @, a sign that some read as a/c, ligatures, and capitals with several small letters.
ALIKE = "\u017f\ufb01\u210c\u2460\uff41\uff20\u2100\u037aß\u03a3\u0130\u0149"


@pytest.mark.parametrize("character", ALIKE)
def test_a_spelling_is_that_of_the_mailbox_that_was_typed(character: str) -> None:
    """A3, A5: never that of one that looks alike, and spelling it again changes nothing."""
    address = normalised(f"A{character}b@example.com")
    assert address == f"a{character.lower()}b@example.com"
    assert normalised(address) == address


@pytest.mark.parametrize("part", ["a", "a.", '"\\"', "a b"])
def test_a_megabyte_is_refused_at_once(part: str) -> None:
    """Bad input: nobody makes us read what no mail server would."""
    began = time.process_time()
    with pytest.raises(NotAnAddress):
        normalised(part * (1_000_000 // len(part)) + "@example.com")
    assert time.process_time() - began < 0.1
