"""The cookie of Pyramid's AuthTktAuthenticationPolicy and AuthTktCookieHelper: a user, no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyramid.authentication import AuthTktCookieHelper
from pyramid.request import Request

from myapp.sessions.core.lifetime import SECOND
from myapp.sessions.core.settings import MAX_LIFETIME
from myapp.sessions.moving.old import Old, cookie_value

_SIGNED: Final = ("timestamp", "userid", "tokens", "userdata")


class AuthTktReader:
    """Lets Pyramid's own helper judge the cookie."""

    name = "auth_tkt"

    def __init__(self, options: Mapping[str, Any], pickle: str) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        self._helper = AuthTktCookieHelper(**given)
        self.cookie_name: str = options["cookie_name"]
        timeout: int | None = options["timeout"]
        self.lasts = timeout * SECOND if timeout else MAX_LIFETIME

    def key(self, request: Request) -> str | None:
        """What the ticket says, if its signature is good and it has not expired.

        Not its text: quotes, escapes and the case of digits can differ, and it is still genuine.
        """
        is_there = cookie_value(request, self.cookie_name) is not None
        found = self._identify(request) if is_there else None
        return repr([found[name] for name in _SIGNED]) if found else None

    def read(self, request: Request, key: str) -> Old | None:
        """The user, and nothing to put into the session."""
        found = self._identify(request)
        if not found:
            return None
        return Old(values={}, created=float(found["timestamp"]), user_id=found["userid"])

    def forget(self, key: str) -> None:
        """Nothing: there is no store."""

    def deletion(self, request: Request) -> Sequence[str]:
        """As many as the helper has set: of the host, and of the domain."""
        return [value for _, value in self._helper.forget(request)]

    def _identify(self, request: Request) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] | None = self._helper.identify(request)
        except Exception:
            # The ticket was signed, and still may hold a user id that can't be decoded.
            return None
        return found
