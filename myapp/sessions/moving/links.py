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
from myapp.sessions.core.lifetime import MINUTE, SECOND
from myapp.sessions.core.settings import MAX_LIFETIME
from myapp.sessions.core.store import SessionStore, StoredSession
from myapp.sessions.core.token import digest, is_handle, new_handle, shortened
from myapp.sessions.moving.old import Reader
from myapp.sessions.moving.reading import UTMOST

log = logging.getLogger(__name__)

GRACE: Final = MINUTE
"""How long other requests with the old cookie may still be on their way."""

Arrival = tuple[Reader, str]
"""An old session that a client named, and how: the reader and its key."""
Damaged = tuple[Arrival, Exception]
"""An old session of which the record can't be read, and why."""


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
"""What counts in place of a link that can't be read. It names no session that there could be."""


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


def find_link(kind: Kind, arrivals: Sequence[Arrival]) -> tuple[Found | None, Sequence[Damaged]]:
    """What is on record of these old sessions; beside it those of which the record can't be read.

    Raises StoreUnavailable.
    """
    digests = {digest_of(kind, each): each for each in arrivals}
    seconds = [digest_of(kind, _second(each)) for each in arrivals]
    notes = {row.digest: _note(kind, row) for row in kind.store.load([*digests, *seconds])}
    there = {its: note for its, note in notes.items() if note is not None}
    damaged = [
        (digests[its], note)
        for its, note in there.items()
        if its in digests and isinstance(note, Exception)
    ]
    noted = [there[its] for its in digests if its in there]
    readable = [note for note in noted if not isinstance(note, Exception)]
    # What was ended beside an adopted one, since it came too late, counts for less.
    newest = max(readable, key=lambda note: (note[0].handle is not None, note[1]), default=None)
    if newest is None:
        return None, damaged
    link, since = newest
    has_user = any(each.has_user for each, _ in readable if each.handle == link.handle)
    found = Found(
        link=replace(link, has_user=has_user),
        since=since,
        missing=[each for its, each in digests.items() if its not in there],
        twice=any(its in there for its in seconds),
    )
    return found, damaged


def _note(kind: Kind, row: StoredSession) -> tuple[Link, int] | Exception | None:
    """A link and when it was written, or why it can't be read; None for one that has expired.

    SQLite lets a damaged row hold anything in any column.
    """
    try:
        is_over = row.ended is not None or kind.clock() >= row.expires_at
        return None if is_over else (_link(row), row.created_at)
    except Exception as error:
        return error


def _link(row: StoredSession) -> Link:
    """What a row says. Raises anything at all for one that says nothing that we wrote."""
    link = _decode(row.data)
    # PostgreSQL would not even look for a text with a NUL.
    if not (link.handle is None or is_handle(link.handle)) or not _is_moment(row.created_at):
        raise ValueError("not as we write it")
    return link


def _is_moment(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < UTMOST * SECOND


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
    if there is not None and handle not in (None, _read(there).handle):
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
    """A link for each old session of a manager and when it was written, streamed; 0 where that
    can't be read.
    """
    for row in store.iterate(manager_of_links(name)):
        link = _read(row)
        if not link.is_second:
            yield link, row.created_at if _is_moment(row.created_at) else 0


def _read(row: StoredSession) -> Link:
    try:
        return _link(row)
    except Exception:
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
