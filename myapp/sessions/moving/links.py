"""Which old session became which of ours: a row for each, in the sessions table.

By it a request that still bears the old cookie, on its way while the first one was answered, gets
the same session; and an old cookie that is sent again after signing out opens nothing. The rows
hold a digest of the old id, no token and no contents.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.core.kind import Kind
from myapp.sessions.core.lifetime import MINUTE
from myapp.sessions.core.settings import MAX_LIFETIME
from myapp.sessions.core.store import SessionStore, StoredSession
from myapp.sessions.core.token import digest, new_handle, shortened
from myapp.sessions.moving.old import Reader

log = logging.getLogger(__name__)

GRACE: Final = MINUTE
"""For so long other requests may have been on their way with the old cookie."""

Arrival = tuple[Reader, str]
"""An old session that a client named, and how: the reader and its key."""


class Link(msgspec.Struct, array_like=True, frozen=True):
    """What became of an old session."""

    kind: str
    """The old library's word."""
    handle: str | None
    """The session of ours; None if the old one was ended."""
    has_user: bool = False
    """Whether the old session said who is signed in, and not another one that came with it."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Link).decode


def manager_of_links(name: str) -> str:
    """What stands in the column `manager`: no manager's name has a dot."""
    return f"{name}.moved"


def digest_of(kind: Kind, arrival: Arrival) -> bytes:
    """The primary key of a link's row."""
    reader, key = arrival
    secret = hashlib.sha256(f"{reader.name}\0{key}".encode()).hexdigest()
    return digest(manager_of_links(kind.name), secret)


def find_link(kind: Kind, arrivals: Sequence[Arrival]) -> tuple[Link, int] | None:
    """The newest link of these old sessions and when it was written. May raise StoreUnavailable.

    It has a user if any link to the same session has.
    """
    rows = kind.store.load([digest_of(kind, each) for each in arrivals])
    live = [row for row in rows if row.ended is None and kind.clock() < row.expires_at]
    newest = max(live, key=lambda row: row.created_at, default=None)
    if newest is None:
        return None
    found = [_decode(row.data) for row in live]
    link = _decode(newest.data)
    has_user = any(each.has_user for each in found if each.handle == link.handle)
    return replace(link, has_user=has_user), newest.created_at


def write_link(kind: Kind, arrival: Arrival, handle: str | None, *, has_user: bool = False) -> None:
    """Note what became of an old session, unless another request was faster: its link stays.

    Raises StoreUnavailable.
    """
    row = _row(kind, arrival, handle, has_user=has_user)
    if not _is_there(kind, row):
        try:
            kind.store.insert(row)
            return
        except Exception as error:  # of any class, says the contract of stores
            if not _is_there(kind, row):
                raise StoreUnavailable(type(error).__name__) from error
    log.info("old session %s was adopted twice, at once", shortened(row.digest))


def _is_there(kind: Kind, row: StoredSession) -> bool:
    return bool(kind.store.load([row.digest]))


def links(store: SessionStore, name: str) -> Iterator[tuple[Link, int]]:
    """All links of a manager and when each was written, streamed."""
    for row in store.iterate(manager_of_links(name)):
        yield _decode(row.data), row.created_at


def _row(kind: Kind, arrival: Arrival, handle: str | None, *, has_user: bool) -> StoredSession:
    now, reader = kind.clock(), arrival[0]
    until = now + min(max(reader.lasts, 2 * GRACE), MAX_LIFETIME)
    return StoredSession(
        digest=digest_of(kind, arrival),
        manager=manager_of_links(kind.name),
        handle=new_handle(now),
        version=1,
        data=_encode(Link(reader.name, handle, has_user)),
        created_at=now,
        seen_at=now,
        deadline=until,
        expires_at=until,
    )
