"""The contract between sessions and whatever keeps them; these docstrings are the contract.

A store keeps rows and compares versions. It knows nothing of cookies, requests, tokens or what
the data mean, and it never reads a clock: every moment is an argument, in milliseconds since 1970
UTC. (One that is a `TellsTime` is asked what its database's clock says.)
`myapp.sessions.testing.contract.StoreContract` is a test suite for any store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from myapp.sessions.core.discreet import Discreet
from myapp.sessions.core.token import shortened


class StoredSession(Discreet, msgspec.Struct, frozen=True):
    """One row, without what concerns the store alone: its lock and when it is swept."""

    digest: bytes
    """32 bytes, the primary key."""
    manager: str
    handle: str | None
    """Public and unique. A marker may keep it, unless another session has it now, or have None."""
    version: int
    """1 when inserted, one more with each update; a touch leaves it."""
    data: bytes
    created_at: int
    seen_at: int
    deadline: int
    """The absolute limit; no touch moves it."""
    expires_at: int
    """The row is dead from here on: the deadline, or the end of the idle timeout before it."""
    user_id: str | None = None
    signed_in_at: int | None = None
    """When this user signed in to this session; None while nobody has."""
    generation: bytes | None = None
    """The user's security generation at sign-in."""
    ended: str | None = None
    """Why the session was ended; then this row is a marker, and no session any more."""
    address: str | None = None
    user_agent: str | None = None

    def shown(self) -> str:
        return f"{shortened(self.digest)}, {self.ended or f'version {self.version}'}"


class Ending(Discreet, msgspec.Struct, frozen=True):
    """The end of one session: its row becomes an empty marker for a while, or goes at once."""

    digest: bytes
    reason: str
    expires_at: int | None = None
    """Until when the marker is kept; None: the row is deleted."""
    data: bytes = b""
    """What the marker holds."""
    version: int | None = None
    """End it only while it is live at this version; None: whatever its version."""

    def shown(self) -> str:
        return f"{shortened(self.digest)}, {self.reason}"


def is_written(meant: StoredSession, found: StoredSession) -> bool:
    """Whether a row is what a write meant to leave there, for when its answer was lost."""
    return (found.version, found.data, found.ended) == (meant.version, meant.data, None)


def is_ended(meant: Ending, found: StoredSession | None) -> bool:
    """Whether a row, or its absence, is what an ending meant to leave."""
    if found is None or meant.expires_at is None:
        return found is None and meant.expires_at is None
    return (found.ended, found.expires_at) == (meant.reason, meant.expires_at)


class SessionWriter(Protocol):
    """The part of a store that saving needs, so that it can also be done in somebody else's
    transaction. The methods are those of SessionStore.
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
    """Keeps sessions. Every method may raise StoreUnavailable, having changed nothing or, where
    the connection broke while a write was under way, perhaps all of it: never a part.

    A session that was ended never comes back: no method turns a marker, or a digest that is not
    stored, into a live session, except `insert` with a digest that was never used.

    `insert`, `update` and `renew` also end other sessions, in one transaction. An ending that names
    a version is a condition: if there is no live session at that version, nothing at all is done,
    and the answer is False. An ending without one is no condition: that session may have ended
    already, or be gone. Two such writes at once never wait for each other: lock the rows of a write
    in the order of their digests. What then loses a race against another transaction is tried
    again by the store itself, a few times.
    """

    def load(self, digests: Sequence[bytes]) -> Sequence[StoredSession]:
        """The rows of these digests, of which there are at most 32, in any order.

        Markers and expired rows are returned too: the caller judges them. What is not stored is
        left out. `address` and `user_agent` need not be filled in.
        """

    def insert(self, new: StoredSession, endings: Sequence[Ending] = ()) -> bool:
        """Store a new session, and end others. False only if the condition of an ending fails.

        A digest that is stored already, be it of a marker, is an error of any class, and nothing
        is done. So it is with `renew`.
        """

    def update(self, changed: StoredSession, version: int, endings: Sequence[Ending] = ()) -> bool:
        """Replace a live session that is still at `version`, and end others.

        Replaced are `version`, `data`, `seen_at`, `expires_at` and `deadline`. False, with nothing
        changed, if it is at another version, ended, gone, expired at `changed.seen_at` or was seen
        later than that: `seen_at` never decreases, and nobody's end comes nearer by a slow save.
        """

    def renew(
        self, old: Ending, version: int, new: StoredSession, endings: Sequence[Ending] = ()
    ) -> bool:
        """End a live session that is still at `version` and store another in its place, which may
        have its handle, and end others. False as with `update`, but for the later `seen_at`;
        expiry is judged at `new.seen_at`.
        """

    def touch(self, digest: bytes, *, seen_at: int, expires_at: int, not_since: int) -> bool:
        """Move the idle clock of a live session that was not seen after `not_since`, and is not
        expired at `seen_at`. It expires at `expires_at` then, but never after its deadline.

        The condition is checked where the row is written, so that of many requests one writes.
        The version stays. False if there was nothing to do.
        """

    def lock(self, digest: bytes, owner: str, *, now: int, until: int) -> bool:
        """Lock a live session for `owner` until a moment at the latest.

        False if another owner has it locked at `now`, or it is ended or gone. Nothing else minds a
        lock: it holds up nobody but who asks for it. The version stays.
        """

    def unlock(self, digest: bytes, owner: str) -> None:
        """Release the lock, if `owner` still holds it."""

    def end(self, endings: Sequence[Ending]) -> int:
        """End these sessions. How many ended.

        Those that ended already, are gone or are not at the version of their ending stay as they
        are, and are not counted.
        """

    def find(self, manager: str, handle: str) -> StoredSession | None:
        """The live or expired session with this handle."""

    def of_user(self, manager: str, user_id: str, now: int) -> Sequence[StoredSession]:
        """The sessions of a user that are not expired at `now`, last seen first; no markers."""

    def last_sign_in(self, manager: str, user_id: str, now: int) -> int | None:
        """The latest `signed_in_at` of the sessions that `of_user` would answer; None if none has
        one.
        """

    def end_oldest(self, manager: str, user_id: str, keep: int, now: int) -> int:
        """Delete all sessions of a user but the `keep` signed in to last. How many were deleted.

        Those without `signed_in_at` count as the oldest; among equals the lesser digests are kept.
        Neither markers nor what is expired at `now` counts. Done twice, it deletes nothing more.
        """

    def iterate(self, manager: str) -> Iterator[StoredSession]:
        """All sessions, streamed in batches; no markers. Rows may come and go meanwhile."""

    def sweep(self, now: int, limit: int) -> int:
        """Look at up to `limit` rows that may have expired, and delete those that have.

        The deletion itself repeats the test of expiry. How many rows were looked at: while that
        equals `limit`, there may be more.
        """

    def check(self) -> None:
        """Raise SchemaError if what the store needs is missing or old."""

    def close(self) -> None:
        """Give back all connections."""


@runtime_checkable
class TellsTime(Protocol):
    """What a SessionStore may be besides, if its database is on a machine with another clock.

    Nothing is swept while the two clocks contradict each other (W2). A store without this method
    is not asked.
    """

    def now(self) -> int | None:
        """The present moment by the database's clock; None if that is the same as ours."""
