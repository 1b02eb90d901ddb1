"""What can go wrong, one reason a class.

Every class derives from SessionError, so that `except SessionError` catches whatever this package
raises on purpose. No message here may ever hold a token.
"""

from __future__ import annotations


class SessionError(Exception):
    """The base of all errors of this package."""


class SchemaError(SessionError):
    """The sessions table is missing or older than this version of the package."""


class NotStorable(SessionError, TypeError):
    """A value that would not come back from the store as it went in."""

    def __init__(self, key: object, value: object, reason: str) -> None:
        self.key, self.reason = key, reason
        super().__init__(
            f"session[{key!r}]: a {type(value).__qualname__} can't be stored: {reason}"
        )


class SessionTooLarge(SessionError, ValueError):
    """A session whose stored data would exceed `session.max_size`."""

    def __init__(self, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        super().__init__(
            f"the session's data is {size} bytes, more than session.max_size allows ({limit})"
        )


class WrongType(SessionError, TypeError):
    """A stored value that is not, and can't become, what `get_as` was asked for."""

    def __init__(self, key: str, wanted: object, reason: str) -> None:
        self.key, self.wanted = key, wanted
        name = wanted.__qualname__ if isinstance(wanted, type) else str(wanted)
        super().__init__(f"session[{key!r}] is not of type {name}: {reason}")


class SessionClosed(SessionError):
    """A session that was used after its response was decided."""


class TooManyCookies(SessionError):
    """A sign-in by a client that sent more session cookies than are looked up."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"more than {limit} different session cookies were sent, and none was looked up: nobody"
            " can sign in until the browser's cookies for this site are deleted"
        )


class UnreadableData(SessionError):
    """Stored bytes that the serializer can't turn back into a session."""


class StoreUnavailable(SessionError):
    """The store can't be reached or can't answer now; `retry_after` is in whole seconds."""

    def __init__(self, reason: str, retry_after: int = 1) -> None:
        self.reason, self.retry_after = reason, retry_after
        super().__init__(f"the session store is unavailable: {reason}")


class StoreRefused(StoreUnavailable):
    """The store answers, and lets us in neither now nor later unless somebody mends it: a wrong
    password, an unknown database, a missing right.
    """


class DoubtfulClock(SessionError):
    """A clock that another one contradicts, so that nothing may be deleted by it."""


class SaveConflict(SessionError):
    """A session that other requests changed again and again while this one tried to save."""

    def __init__(self, patience: float) -> None:
        super().__init__(
            f"the session was not saved: other requests kept changing it for {patience:g} seconds"
        )


class OldSnapshot(SessionError):
    """A transaction whose snapshot is older than the session that was to be saved within it."""


class SessionLost(SessionError):
    """A session that was ended elsewhere, where going on without it would be wrong."""


class LockTimeout(SessionError, TimeoutError):
    """A session whose lock others held all the time that `lock` was to wait."""

    def __init__(self, handle: str, timeout: float) -> None:
        self.handle, self.timeout = handle, timeout
        super().__init__(f"session {handle} was locked by other requests for {timeout:g} s")
