"""Passwords: hashed with argon2id, and refused if they are easy to guess (A2).

Each check of a password costs one run of argon2, whether or not there is an account: nothing here
may answer faster for an unknown address (A3).
"""

from __future__ import annotations

import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import ARGON2_VERSION

from myapp.accounts.guesses import is_common, is_made_of, is_sequence, words_of

MAX_LENGTH: Final = 1000
"""Characters; a limit, so that nobody makes us hash megabytes."""

_LONG: Final = f"Use at most {MAX_LENGTH:,} characters."
_UNTYPABLE: Final = "A password can't contain one of these characters. Type it again."
_COMMON: Final = "This is easy to guess: many people use such a password. Choose another one."
_SEQUENCE: Final = (
    "This is easy to guess: it follows the keyboard or repeats itself. Choose another one."
)
_OWN: Final = (
    "This is easy to guess: it is made from your address or from the name of this site. Choose"
    " another one."
)


class Passwords:
    """Hashes passwords, verifies them, and says which are not acceptable.

    `minimum` is the least number of characters, `words` are the site's own words. `hasher` replaces
    the default, RFC 9106's second recommendation (64 MiB).
    """

    def __init__(
        self, minimum: int, words: Collection[str], hasher: PasswordHasher | None = None
    ) -> None:
        self._minimum, self._words = minimum, tuple(words)
        self._hasher = hasher or PasswordHasher()
        self._nobody = _hash_of_nobody(self._hasher)

    def hash(self, password: str) -> str:
        """The hash to store for a password."""
        return self._hasher.hash(_encoded(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password matches this hash. False for no hash, a damaged one, and a password
        that is too long; all of these take as long as a wrong password.
        """
        if password_hash is None or len(password) > MAX_LENGTH:
            return self._is_nobodys(password)
        try:
            return self._hasher.verify(password_hash, _encoded(password))
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            # The hash could not be read, so that nothing was computed yet.
            return self._is_nobodys(password)

    def _is_nobodys(self, password: str) -> bool:
        with suppress(VerifyMismatchError):
            self._hasher.verify(self._nobody, _encoded(password[:MAX_LENGTH]))
        return False

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than one of today."""
        try:
            return self._hasher.check_needs_rehash(password_hash)
        except InvalidHashError:
            return True

    def complaint(self, password: str, email: str) -> str | None:
        """What is wrong with a new password for this address, as a sentence for its owner."""
        if len(password) > MAX_LENGTH:
            return _LONG
        if any(c == "\0" or unicodedata.category(c) == "Cs" for c in password):
            return _UNTYPABLE
        text = unicodedata.normalize("NFKC", password)
        if len(text) > MAX_LENGTH:
            return _LONG
        if len(text) < self._minimum:
            return (
                f"Use at least {self._minimum} characters. Four words that have nothing to do with"
                " each other are a good password."
            )
        return _guessed(text, {*words_of(email), *map(str.casefold, self._words)})


def _guessed(text: str, own: set[str]) -> str | None:
    if is_sequence(text):
        return _SEQUENCE
    if is_made_of(text, own):
        return _OWN
    return _COMMON if is_common(text, own) else None


def _hash_of_nobody(hasher: PasswordHasher) -> str:
    """A hash to verify against if there is no account: its costs are the hasher's, and nobody knows
    a password that has it. It is not computed, which would delay each start and each command.
    """
    salt, digest = (
        b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()
        for size in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2{hasher.type.name.lower()}$v={ARGON2_VERSION}${costs}${salt}${digest}"


def _encoded(password: str) -> bytes:
    # Keyboards differ in how they compose a letter. Invalid text is a wrong password.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
