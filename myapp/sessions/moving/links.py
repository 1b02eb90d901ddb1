"""Which old session became which of ours: a row for each, in the sessions table.

With it, a request that still has the old cookie, because it was sent before the first one was
answered, gets the same session; and an old cookie that is replayed after signing out opens nothing.
The rows hold a digest of the old id, but no token and no contents.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
"""How long other requests with the old cookie may still be on their way."""

Arrival = tuple[Reader, str]
"""An old session that a client named, and how: the reader and its key."""


class Link(msgspec.Struct, array_like=True, frozen=True):
    """What became of an old session."""

    kind: str
    """The old library's name, as in `moving.from`."""
    handle: str | None
    """The session of ours; None if the old one was ended."""
    has_user: bool = False
    """Whether the old session said who is signed in, and not another one that came with it."""
    is_second: bool = False
    """Whether another link, too, tells of the same old session, which was adopted twice."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Link).decode
_UNREADABLE: Final = Link("unreadable", "?")
"""What counts in place of a link that can't be read."""


def manager_of_links(name: str) -> str:
    """What stands in the column `manager`: no manager's name has a dot."""
    return f"{name}.moved"


def digest_of(kind: Kind, arrival: Arrival) -> bytes:
    """The primary key of a link's row."""
    reader, key = arrival
    secret = hashlib.sha256(f"{reader.name}\0{key}".encode()).hexdigest()
    return digest(manager_of_links(kind.name), secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is on record of the old sessions that a request named."""

    link: Link
    """The newest; it has a user if any link to the same session has."""
    since: int
    """When it was written, in milliseconds since 1970."""
    missing: Sequence[Arrival]
    """Those of which nothing is on record."""
    twice: bool
    """Whether two requests of the same instant adopted one, so that two sessions came of it."""


def find_link(kind: Kind, arrivals: Sequence[Arrival]) -> Found | None:
    """What is on record of these old sessions. May raise StoreUnavailable."""
    digests = [digest_of(kind, each) for each in arrivals]
    seconds = [digest_of(kind, _second(each)) for each in arrivals]
    rows = {
        row.digest: row
        for row in kind.store.load([*digests, *seconds])
        if row.ended is None and kind.clock() < row.expires_at
    }
    live = [rows[digest] for digest in digests if digest in rows]
    # What was ended beside an adopted one, since it came too late, counts for less.
    noted = [(_decode(row.data), row.created_at) for row in live]
    newest = max(noted, key=lambda note: (note[0].handle is not None, note[1]), default=None)
    if newest is None:
        return None
    link, since = newest
    has_user = any(each.has_user for each, _ in noted if each.handle == link.handle)
    return Found(
        link=replace(link, has_user=has_user),
        since=since,
        missing=[each for each, its in zip(arrivals, digests, strict=True) if its not in rows],
        twice=any(digest in rows for digest in seconds),
    )


def _second(arrival: Arrival) -> Arrival:
    """What stands for an old session that was adopted a second time."""
    reader, key = arrival
    return reader, f"{key}\0twice"


def write_link(kind: Kind, arrival: Arrival, handle: str | None, *, has_user: bool = False) -> None:
    """Note what became of an old session, unless another request was faster: its link stays, and
    it is noted that two sessions came of it.

    Raises StoreUnavailable.
    """
    there = _write(kind, _row(kind, arrival, handle, has_user=has_user))
    if there is not None and handle not in (None, _decode(there.data).handle):
        log.info("old session %s was adopted twice at the same time", shortened(there.digest))
        second = _row(kind, _second(arrival), handle, has_user=has_user, is_second=True)
        _write(kind, second)


def _write(kind: Kind, row: StoredSession) -> StoredSession | None:
    """Insert a row unless there is one, which is returned. Raises StoreUnavailable."""
    there = _of(kind, row.digest)
    if there is None:
        try:
            kind.store.insert(row)
        except Exception as error:  # of any class, says the contract of stores
            there = _of(kind, row.digest)
            if there is None:
                raise StoreUnavailable(type(error).__name__) from error
    return there


def _of(kind: Kind, digest: bytes) -> StoredSession | None:
    return next(iter(kind.store.load([digest])), None)


def links(store: SessionStore, name: str) -> Iterator[tuple[Link, int]]:
    """A link for each old session of a manager and when it was written, streamed."""
    for row in store.iterate(manager_of_links(name)):
        link = _read(row)
        if not link.is_second:
            yield link, row.created_at


def _read(row: StoredSession) -> Link:
    try:
        return _decode(row.data)
    except msgspec.DecodeError:
        return _UNREADABLE


def _row(
    kind: Kind, arrival: Arrival, handle: str | None, *, has_user: bool, is_second: bool = False
) -> StoredSession:
    now, reader = kind.clock(), arrival[0]
    until = now + min(max(reader.lasts, 2 * GRACE), MAX_LIFETIME)
    return StoredSession(
        digest=digest_of(kind, arrival),
        manager=manager_of_links(kind.name),
        handle=new_handle(now),
        version=1,
        data=_encode(Link(reader.name, handle, has_user, is_second)),
        created_at=now,
        seen_at=now,
        deadline=until,
        expires_at=until,
    )
