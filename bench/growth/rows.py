"""The rows of the tables: a session for each number, always the same one.

Digests are spread at random, as in life, so that the indexes on them grow as in life.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any, Final

from bench.works import contents
from myapp.sessions.core.codec import Codec, Content, MessagePack
from myapp.sessions.core.lifetime import MINUTE, SECOND

NAME: Final = "session"
DAY: Final = 24 * 60 * MINUTE
LIFETIME: Final = 7 * DAY
IDLE_TIMEOUT: Final = DAY
BEGIN: Final = 1_790_000_000 * SECOND
"""When the first session began. The others follow within a day, evenly; then it is `END`."""
END: Final = BEGIN + DAY

STORED: Final = 500
"""Bytes of data in each row."""

MIX: Final = (
    "40 % signed in (a user id of 8 characters, a generation of 32 bytes), 60 % anonymous; each"
    " with its client's address and user agent, as `session.record_client = full` keeps them"
)

_USER_AGENT: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/138.0.0.0 Safari/537.36"
)
_USERS: Final = 5_000_011
_MARK: Final = "0" * len(contents()["return_to"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What sort of sessions a table holds."""

    stored: int | None = STORED
    """Bytes of data; None: what the session of the other benchmarks comes to, 500 as JSON."""
    signed_in: int = 2
    """Of five sessions."""
    client: bool = True
    """Whether address and user agent are recorded."""


MIXED: Final = Kind()


def digest(number: int) -> bytes:
    """The primary key of a session."""
    return sha256(b"session %d" % number).digest()


def began(number: int, total: int) -> int:
    """When a session began, of `total` that began within the day."""
    return BEGIN + DAY * number // total


def rows(numbers: Iterable[int], total: int, kind: Kind = MIXED) -> Iterator[dict[str, Any]]:
    """Sessions as the table has them, of `total` in it; a column that is not named is null."""
    return _Maker(kind, total).rows(numbers)


def columns(kind: Kind = MIXED) -> list[str]:
    """The names of the columns, in the order in which `rows` has them."""
    return list(next(rows([0], 1, kind)))


def data_of(kind: Kind) -> bytes:
    """What one session stores, with a mark where each has digits of its own."""
    values = contents() | {"return_to": _MARK}
    plain = _encode(values)
    if kind.stored is None:
        return plain
    # The key has a head of one byte, a text of over 31 one of two.
    return _encode(values | {"note": "x" * (kind.stored - len(plain) - len("note") - 3)})


def plain_size() -> int:
    """Bytes of the session of the other benchmarks, as compact JSON."""
    return len(json.dumps(contents(), separators=(",", ":")))


def _encode(values: dict[str, Any]) -> bytes:
    return Codec(MessagePack(), 2**16).encode(Content(values=values))


class _Maker:
    def __init__(self, kind: Kind, total: int) -> None:
        self._kind, self._total = kind, total
        self._before, self._after = data_of(kind).split(_MARK.encode())

    def rows(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        kind = self._kind
        for number in numbers:
            own = blake2b(b"%d" % number, digest_size=16).digest()
            began_at = began(number, self._total)
            signed_in = number % 5 < kind.signed_in
            yield {
                "digest": digest(number),
                "manager": NAME,
                "handle": f"{began_at // 1000:08x}{urlsafe_b64encode(own)[:14].decode()}",
                "version": 1,
                "data": b"".join((self._before, own.hex()[: len(_MARK)].encode(), self._after)),
                "created_at": began_at,
                "seen_at": began_at,
                "deadline": began_at + LIFETIME,
                "expires_at": began_at + IDLE_TIMEOUT,
                # As in life, each has several sessions, and they don't come one after the other.
                "user_id": str(10_000_000 + number * 7_654_321 % _USERS) if signed_in else None,
                "generation": own + own if signed_in else None,
                "address": f"203.0.113.{number % 250}" if kind.client else None,
                "user_agent": _USER_AGENT[: 100 + number % 12] if kind.client else None,
                "sweep_at": began_at + IDLE_TIMEOUT,
            }
