"""What is known of an old session, and what each old library is asked for: the Reader protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pyramid.request import Request

MAX_COOKIE: Final = 8 * 1024
"""Characters of an old cookie's value; no browser stores half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """An old session that is still good."""

    values: Mapping[Any, Any]
    """The dictionary, with what the library itself keeps in it, such as flash messages."""
    created: float | None
    """When it began, in seconds since 1970, as far as the library knows."""
    user_id: object = None
    """Who is signed in, where that is not among the values."""


class Reader(Protocol):
    """Knows the sessions of one old library. Nothing that a client sends may make it raise.

    It raises StoreUnavailable only if the old store does not answer.
    """

    name: str
    cookie_name: str
    lasts: int
    """How long an old cookie can be replayed at most, in milliseconds."""

    def key(self, request: Request) -> str | None:
        """A key that identifies the session of a request; None if its cookie is forged, malformed
        or missing.

        The key must be the same for all cookies with a valid signature for that session: otherwise
        a rewritten cookie would be another session, which was never adopted or signed out.
        """

    def read(self, request: Request, key: str) -> Old | None:
        """The session of a genuine cookie; None if it expired or is gone. Raises Unreadable."""

    def forget(self, key: str) -> None:
        """Delete it from the old store, if there is one."""

    def deletion(self, request: Request) -> Sequence[str]:
        """The values of Set-Cookie that delete the old cookie."""


def cookie_value(request: Request, name: str) -> str | None:
    """The value of an old cookie, None if there is none or it is too long to be one."""
    value: str | None = request.cookies.get(name)
    return value if value and len(value) <= MAX_COOKIE and value.isascii() else None


def deleted(request: Request, name: str, path: str, domain: str | None) -> str:
    """The value of Set-Cookie that deletes a cookie which was set with this path and domain."""
    where = f"; Domain={domain}; Path={path}" if domain else f"; Path={path}"
    # Browsers let no insecure response delete a cookie whose name asks for Secure.
    secure = "; Secure" if request.scheme == "https" else ""
    return f"{name}={where}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{secure}"
