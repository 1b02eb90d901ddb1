"""Passwords: which are refused, and that each look at one costs the same."""

from __future__ import annotations

from typing import Literal

import pytest
from argon2 import PasswordHasher, extract_parameters

from myapp.accounts.passwords import MAX_LENGTH, Passwords

ADDRESS = "ann.smith@example.com"
GOOD = "lantern gravel cactus"


class CountingHasher(PasswordHasher):
    """Counts how often argon2 has run."""

    runs = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        try:
            right = super().verify(hash, password)
        except Exception as error:
            self.runs += type(error).__name__ == "VerifyMismatchError"
            raise
        self.runs += 1
        return right


@pytest.fixture
def hasher() -> CountingHasher:
    """As cheap as argon2 can be."""
    return CountingHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def passwords(hasher: CountingHasher) -> Passwords:
    return Passwords(15, ["myapp"], hasher)


def test_where_there_is_no_account_the_costs_are_those_of_a_real_hash() -> None:
    """A3: though nothing was hashed for it."""
    hasher = PasswordHasher(time_cost=2, memory_cost=64, parallelism=2, hash_len=24, salt_len=12)
    passwords = Passwords(15, [], hasher)
    assert extract_parameters(passwords._nobody) == extract_parameters(passwords.hash(GOOD))


@pytest.mark.parametrize(
    "password",
    [
        # repeated
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabcab",
        "passwordpassword",
        "Password1!Password1!",
        "password password",
        "12/12/1990-12/12/1990-",
        # rows of keys
        "123456789012345",
        "987654321098765",
        "qwertyuiopasdfgh",
        "1qaz2wsx3edc4rfv",
        "1q2w3e4r5t6y7u8i",
        "!@#$%^&*()!@#$%^",
        "abcdefghijklmnop",
        "zxcvbnmasdfghjkl",
        # common words, made longer
        "iloveyou20192020",
        "P@ssw0rd--------",
        "p4ssw0rd-p4ssw0rd",
        "sup3rm4n12345678",
        "p4ssw0rd1p4ssw0rd1p4ssw0rd1",
        "adminpassword123",
        "monkeydragon2019!",
        "Superman12345678",
        # the person's and the site's own
        "ann.smith@example.com",
        "AnnSmith-2024-!!!",
        "myapp-myapp-myapp",
        "Smith at MyApp 2024",
        "smith-password-24",
    ],
)
def test_what_many_people_use_is_refused(passwords: Passwords, password: str) -> None:
    """A2: however long it is."""
    complaint = passwords.complaint(password, ADDRESS)
    assert complaint is not None
    assert complaint.startswith("This is easy to guess")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "correcthorsebatterystaple",
        "dragon monkey shadow master",
        "qwerty lantern gravel cactus",
        "myapp lantern gravel cactus",
        "power power tower flower",
        GOOD,
        "xK9#mQ2!vB7@pL4w",
        "834719283746152",
        "Üben macht den Meister",
        "パスワードはとても長いですからね",
        "👩‍🚀 flies to the moon",
    ],
)
def test_a_phrase_is_taken(passwords: Passwords, password: str) -> None:
    """A2: any Unicode, no rules of composition, and nothing too clever."""
    assert passwords.complaint(password, ADDRESS) is None
    assert passwords.verify(passwords.hash(password), password)


def test_a_password_has_its_least_length_and_its_greatest(passwords: Passwords) -> None:
    """A2: 15 to 1,000 characters, as they are counted once they are composed."""
    assert "at least 15" in str(passwords.complaint(GOOD[:14], ADDRESS))
    assert passwords.complaint(GOOD[:15], ADDRESS) is None
    assert "at least 15" in str(passwords.complaint("e\u0301" * 10, ADDRESS))
    phrase = "".join(chr(0x4E00 + number) for number in range(MAX_LENGTH))
    assert passwords.complaint(phrase, ADDRESS) is None
    assert "at most 1,000" in str(passwords.complaint(phrase + "x", ADDRESS))
    # One character that stands for eighteen.
    assert "at most 1,000" in str(passwords.complaint("\ufdfa" * 100, ADDRESS))


@pytest.mark.parametrize("odd", ["\0" * 20, GOOD + "\0", GOOD + "\ud800"])
def test_what_is_no_text_gets_an_answer(passwords: Passwords, odd: str) -> None:
    """A2: never an exception."""
    assert "can't contain" in str(passwords.complaint(odd, ADDRESS))
    assert not passwords.verify(passwords.hash(GOOD), odd)
    assert passwords.verify(passwords.hash(odd), odd)


def test_keyboards_may_differ_in_how_they_compose_a_letter(passwords: Passwords) -> None:
    """A2: NFKC."""
    assert passwords.verify(passwords.hash("Cafe\u0301 au lait, bien"), "Caf\u00e9 au lait, bien")


def test_every_look_costs_one_run(passwords: Passwords, hasher: CountingHasher) -> None:
    """A3: for nobody, a damaged hash and megabytes too, whatever the answer is."""
    right = passwords.hash(GOOD)
    cases = [
        (right, GOOD, True),
        (right, GOOD + "!", False),
        (right, GOOD * 100_000, False),
        (passwords.hash("x" * 1001), "x" * 1001, False),
        (None, GOOD, False),
        (None, "\ud800" * 2000, False),
        ("", GOOD, False),
        ("!", GOOD, False),
        ("$argon2id$v=19$m=8,t=1,p=1$AAAA", GOOD, False),
        (right[:-1] + "é", GOOD, False),
        (right.replace("argon2id", "argon2x"), GOOD, False),
    ]
    for number, (password_hash, password, answer) in enumerate(cases, 1):
        assert passwords.verify(password_hash, password) is answer
        assert hasher.runs == number, password_hash


def test_a_hash_of_former_parameters_is_made_anew(passwords: Passwords) -> None:
    """A2: rehashed at sign-in when the parameters grew."""
    assert not passwords.needs_rehash(passwords.hash(GOOD))
    grown = Passwords(15, [], PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert grown.needs_rehash(passwords.hash(GOOD))
    assert grown.verify(passwords.hash(GOOD), GOOD)
    assert grown.needs_rehash("no hash")


def test_the_parameters_are_those_of_the_rfc() -> None:
    """A2: argon2id with 64 MiB and three passes, RFC 9106's second recommendation."""
    assert Passwords(15, []).hash(GOOD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
