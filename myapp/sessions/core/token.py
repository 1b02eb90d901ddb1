"""The secret in the cookie, and the digest under which a session is stored.

The token itself is never stored: whoever reads the table can't use what they find (R6).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

TOKEN_BYTES: Final = 32
TOKEN_LENGTH: Final = 43
"""Characters of a token: 256 bits in unpadded URL-safe base64."""

SHAPE: Final = r"[A-Za-z0-9_-]{43}"
"""The shape of a token, as a regular expression."""

_IS_HANDLE: Final = re.compile(r"[A-Za-z0-9_-]{22}").fullmatch
_MATCHES: Final = re.compile(SHAPE).fullmatch


def new_token() -> str:
    """A new secret of 256 bits from the system's source of randomness."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def is_token(text: str) -> bool:
    """Whether a text has the shape of a token; what has not never reaches the database (L3)."""
    return _MATCHES(text) is not None


def digest(manager: str, token: str) -> bytes:
    """The primary key of a token's row: 32 bytes.

    The manager's name is part of it, so that a token opens only the manager that issued it (L10);
    a manager's name never holds the NUL that separates the two.
    """
    return hashlib.sha256(f"{manager}\0{token}".encode("ascii")).digest()


def shortened(digest: bytes) -> str:
    """The first 8 hexadecimal digits of a digest, all that a log line may show of it."""
    return digest[:4].hex()


def new_handle(now: int) -> str:
    """A public name for a session, derived from nothing secret: 80 random bits behind the second.

    So new ones stand side by side in their index, and each does not change a page of its own.
    """
    return f"{now // 1000 & 0xFFFFFFFF:08x}{secrets.token_urlsafe(10)}"


def is_handle(text: str) -> bool:
    """Whether a text has the shape of a handle."""
    return _IS_HANDLE(text) is not None


def new_csrf_token() -> str:
    """A token that a form must bear, of 192 bits."""
    return secrets.token_urlsafe(24)
