"""The contract between sessions and their store; these docstrings are the contract.

A store keeps rows and compares versions. It knows nothing about cookies, requests, tokens or the
meaning of the data, and it never reads a clock: every moment is an argument, in milliseconds since
1970 UTC. (A store that is a `TellsTime` is asked for its database's time.)
`myapp.sessions.testing.contract.StoreContract` is a test suite for any store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from myapp.sessions.core.discreet import Discreet
from myapp.sessions.core.token import shortened


class StoredSession(Discreet, msgspec.Struct, frozen=True):
    """One row, without the columns that only the store uses, such as the lock."""

    digest: bytes
    """32 bytes, the primary key."""
    manager: str
    handle: str | None
    """Public and unique. A marker may keep it until another session gets it, or have None."""
    version: int
    """1 when inserted, increased by one with each update; a touch does not change it."""
    data: bytes
    created_at: int
    seen_at: int
    deadline: int
    """The absolute limit; a touch does not change it."""
    expires_at: int
    """When the row expires: at the deadline, or when the idle timeout ends before it."""
    user_id: str | None = None
    signed_in_at: int | None = None
    """When this user signed in to this session; None if nobody has."""
    generation: bytes | None = None
    """The user's security generation at sign-in."""
    ended: str | None = None
    """Why the session was ended; if set, this row is a marker, not a session."""
    address: str | None = None
    user_agent: str | None = None

    def shown(self) -> str:
        return f"{shortened(self.digest)}, {self.ended or f'version {self.version}'}"


class Ending(Discreet, msgspec.Struct, frozen=True):
    """The end of one session: its row becomes an empty marker for a while, or is deleted."""

    digest: bytes
    reason: str
    expires_at: int | None = None
    """When the marker expires; None to delete the row instead."""
    data: bytes = b""
    """What the marker holds."""
    version: int | None = None
    """End it only if it is live at this version; None for any version."""

    def shown(self) -> str:
        return f"{shortened(self.digest)}, {self.reason}"


def is_written(meant: StoredSession, found: StoredSession) -> bool:
    """Whether a row is what a write was meant to leave; asked if the write's answer was lost."""
    return (found.version, found.data, found.ended) == (meant.version, meant.data, None)


def is_ended(meant: Ending, found: StoredSession | None) -> bool:
    """Whether a row, or its absence, is what an ending was meant to leave."""
    if found is None or meant.expires_at is None:
        return found is None and meant.expires_at is None
    return (found.ended, found.expires_at) == (meant.reason, meant.expires_at)


class SessionWriter(Protocol):
    """The part of a store that saving needs; it can also run in the application's transaction. The
    methods are those of SessionStore.
    """

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool: ...

    def update(
        self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()
    ) -> bool: ...

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool: ...

    def end(self, endings: Sequence[Ending]) -> int: ...


class SessionStore(Protocol):
    """Keeps sessions. Every method may raise StoreUnavailable. It has then changed nothing or, if
    the connection broke during a write, possibly everything: never a part.

    A session that was ended never comes back: no method turns a marker, or a digest that is not
    stored, into a live session, except `insert` with a digest that was never used.

    `insert`, `update` and `renew` also end other sessions, in the same transaction. An ending with
    a version is a condition: if there is no live session at that version, nothing is changed and
    the method returns False. An ending without a version is not a condition: that session may have
    ended already, or be gone. Two such writes must not deadlock: lock the rows of a write in the
    order of their digests. If a write still loses a race against another transaction, the store
    itself tries again a few times.
    """

    def load(self, digests: Sequence[bytes]) -> Sequence[StoredSession]:
        """The rows with these digests, at most 32 of them, in any order.

        Markers and expired rows are returned too, for the caller to judge. Digests that are not
        stored are left out. `address` and `user_agent` need not be filled in.
        """

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        """Store a new session, and end others. False only if the condition of an ending fails.

        If the digest is stored already, even as a marker, raise an error of any class and change
        nothing. The same goes for `renew`.
        """

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        """Replace a live session that is still at `version`, and end others.

        Replaces `version`, `data`, `seen_at`, `expires_at` and `deadline`. Returns False and
        changes nothing if the session is at another version, ended, gone, expired at
        `changed.seen_at`, or was seen later than that: `seen_at` never decreases, so that a slow
        save does not shorten a session.
        """

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        """End a live session that is still at `version`, store another one in its place, which may
        have the same handle, and end others. False as with `update`, except that a later `seen_at`
        does not matter; expiry is judged at `new.seen_at`.
        """

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        """Note that a live session is in use, unless it was seen after `not_since` or is expired
        at `seen_at`. It then expires at `expires_at`, but never after its deadline.

        Check the condition in the statement that writes, so that only one of many requests does.
        The version does not change. False if there was nothing to do.
        """

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        """Lock a live session for `owner`, at most until `until`.

        False if another owner holds the lock at `now`, or if the session is ended or gone. A lock
        affects no other method, only those who ask for it. The version does not change.
        """

    def unlock(self, digest: bytes, owner: str) -> None:
        """Release the lock, if `owner` still holds it."""

    def end(self, endings: Sequence[Ending]) -> int:
        """End these sessions, and return how many ended.

        Sessions that have ended already, are gone or are not at the version of their ending are
        left unchanged and not counted.
        """

    def find(self, manager: str, handle: str) -> StoredSession | None:
        """The live or expired session with this handle."""

    def of_user(self, manager: str, user_id: str, now: int) -> Sequence[StoredSession]:
        """The sessions of a user that are not expired at `now`, last seen first; no markers."""

    def last_sign_in(self, manager: str, user_id: str, now: int) -> int | None:
        """The latest `signed_in_at` of the sessions that `of_user` would return; None if none has
        one.
        """

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        """Delete all sessions of a user except the `keep` with the latest sign-in, and return how
        many were deleted.

        Sessions without `signed_in_at` count as the oldest; among equals, the lesser digests are
        kept. Markers and rows that are expired at `now` don't count. A second call deletes nothing.
        """

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        """All sessions, streamed in batches, without markers. Rows may come and go meanwhile."""

    def sweep(self, now: int, limit: int) -> int:
        """Look at up to `limit` rows that may have expired, and delete those that have.

        The DELETE itself must check the expiry again. Returns how many rows were looked at: if
        that equals `limit`, there may be more.
        """

    def check(self) -> None:
        """Raise SchemaError if the store's schema is missing or out of date."""

    def close(self) -> None:
        """Give back all connections."""


@runtime_checkable
class TellsTime(Protocol):
    """A SessionStore may also be this, if its database runs on a machine with another clock.

    Nothing is swept while the two clocks contradict each other (W2). Stores without this method
    are not asked.
    """

    def now(self) -> int | None:
        """The current time by the database's clock; None if that is this machine's clock."""
