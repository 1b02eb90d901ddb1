"""One request at a time on one session, around a block of code (S13).

The lock is a lease in the store: only requests that ask for it wait, it takes no connection, and it
ends by itself if its holder dies.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec.structs import replace

from myapp.sessions.core.errors import LockTimeout, SessionLost, StoreUnavailable
from myapp.sessions.core.events import ChangeDropped
from myapp.sessions.core.lifetime import SECOND
from myapp.sessions.core.loading import present
from myapp.sessions.core.merge import bring_up_to_date, merge
from myapp.sessions.core.saved import follow_up, settle
from myapp.sessions.core.saving import save_within_lock
from myapp.sessions.core.state import State
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import new_handle, shortened

log = logging.getLogger(__name__)

LEASE: Final = 30 * SECOND
_LONGEST_PAUSE: Final = 0.05


@contextmanager
def hold(state: State, timeout: float) -> Iterator[None]:
    """Hold a session's lock, see `Session.lock`. A new session is nobody else's yet."""
    row = state.row
    if row is None:
        yield
        return
    owner = new_handle(state.kind.clock())
    until = _acquire(state, row, owner, timeout)
    try:
        _refresh(state, row)
        with _undone_if_too_late(state, until):
            yield
            _save(state, until)
    finally:
        _release(state, row, owner)


def _acquire(state: State, row: StoredSession, owner: str, timeout: float) -> int:
    """Wait for the lock, and return the latest moment until which it is held."""
    kind, give_up, pause = state.kind, time.monotonic() + timeout, 0.002
    while True:
        now = kind.clock()
        if kind.store.lock(row.digest, owner, now=now, until=now + LEASE):
            return now + LEASE
        if time.monotonic() + pause > give_up:
            raise LockTimeout(row.handle or "", timeout)
        if present(kind, row.digest) is None:
            raise _lost(row)
        # No database notifies us when a lock is free, so we ask again, less and less often.
        time.sleep(pause * random.SystemRandom().uniform(0.5, 1))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _release(state: State, row: StoredSession, owner: str) -> None:
    try:
        state.kind.store.unlock(row.digest, owner)
    except StoreUnavailable as error:
        # What the block did stands; the lock ends by itself.
        log.info("session %s was not unlocked: %s", shortened(row.digest), error)


def _refresh(state: State, row: StoredSession) -> None:
    """Go on from what is stored now, with what this request has changed so far."""
    found = present(state.kind, row.digest)
    if found is None or state.loaded is None:
        raise _lost(row)
    codec = state.kind.codec
    merged = merge(codec.decode(row.data), state.content, found[1], codec.same)
    bring_up_to_date(state.content, merged)
    state.loaded = replace(state.loaded, row=found[0])


@contextmanager
def _undone_if_too_late(state: State, until: int) -> Iterator[None]:
    """Undo the changes of a block that outlived its lock: the next holder may have written."""
    codec = state.kind.codec
    content, intent = codec.encode(state.content), state.intent
    try:
        yield
    except BaseException as error:
        if isinstance(error, SessionLost) or state.kind.clock() >= until:
            bring_up_to_date(state.content, codec.decode(content))
            state.intent = intent
        raise


def _save(state: State, until: int) -> None:
    """Store what the block changed, and tell of it: nothing of it is left for the response."""
    row = state.row
    if row is None:
        return
    if state.kind.clock() >= until:
        raise SessionLost(f"session {row.handle} was held longer than its lock")
    saved = save_within_lock(state, until)
    if state.source is not None:
        follow_up(state.kind, saved, state.source.publish)
    if any(isinstance(event, ChangeDropped) for event in saved.events):
        raise _lost(row)
    if saved.loaded is not None:
        settle(state, saved)
        state.saved_apart = True
        state.owes_cookie = saved.sets_cookie


def _lost(row: StoredSession) -> SessionLost:
    return SessionLost(f"session {row.handle} was ended elsewhere")
