"""What can go wrong, one class for each reason.

Every class derives from SessionError, so that `except SessionError` catches everything that this
package raises on purpose. No message here may ever contain a token.
"""

from __future__ import annotations


class SessionError(Exception):
    """The base of all errors of this package."""


class SchemaError(SessionError):
    """The sessions table is missing or older than this version of the package."""


class NotStorable(SessionError, TypeError):
    """A value that would not come back from the store unchanged."""

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
    """A stored value that can't be converted to the type that `get_as` was asked for."""

    def __init__(self, key: str, wanted: object, reason: str) -> None:
        self.key, self.wanted = key, wanted
        name = wanted.__qualname__ if isinstance(wanted, type) else str(wanted)
        super().__init__(f"session[{key!r}] is not of type {name}: {reason}")


class SessionClosed(SessionError):
    """A session that was first used after its response was decided, or changed after a save."""


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
    """The store refuses us until somebody changes something: a wrong password, an unknown
    database, a missing right. `reason` is what was expected.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.args = (f"the session store can't be used: expected {reason}",)


class DoubtfulClock(SessionError):
    """A clock that contradicts another one, so that nothing may be deleted by it."""


class SaveConflict(SessionError):
    """A session that other requests kept changing while this one tried to save it."""

    def __init__(self, patience: float) -> None:
        super().__init__(
            f"the session was not saved: other requests kept changing it for {patience:g} seconds"
        )


class OldSnapshot(SessionError):
    """A transaction whose snapshot is older than the session that it should save."""


class SessionLost(SessionError):
    """A session that was ended elsewhere while this request can't go on without it."""


class LockTimeout(SessionError, TimeoutError):
    """A session whose lock other requests held for as long as `lock` could wait."""

    def __init__(self, handle: str, timeout: float) -> None:
        self.handle, self.timeout = handle, timeout
        super().__init__(f"session {handle} was locked by other requests for {timeout:g} s")
