"""The CSRF token, kept in the session; checking one must never start a session.

Pyramid's own policy makes a token in order to compare with it, so that every stray POST of a robot
would leave a row in the table.
"""

from __future__ import annotations

import hmac
from typing import Final

from pyramid.interfaces import ICSRFStoragePolicy
from pyramid.request import Request
from zope.interface import implementer

# "none" is a request that no page caused, such as one typed or replayed by its user.
_OWN_SITES: Final = ("same-origin", "none")


@implementer(ICSRFStoragePolicy)
class SessionCSRFPolicy:
    """Tokens that live and end with the visitor's session."""

    def new_csrf_token(self, request: Request) -> str:
        """Replace the session's token."""
        token: str = request.session.new_csrf_token()
        return token

    def get_csrf_token(self, request: Request) -> str:
        """The session's token, made now if it has none."""
        token: str = request.session.get_csrf_token()
        return token

    def check_csrf_token(self, request: Request, supplied_token: str) -> bool:
        """Whether our own page sent this, in the session it was made for."""
        # Browsers name the caller's site, over plain http to localhost too; others say nothing.
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in _OWN_SITES:
            return False
        expected = request.session.content.csrf
        if expected is None:
            return False
        return hmac.compare_digest(expected.encode(), supplied_token.encode(errors="replace"))
