"""Decides who proves with a token that a form comes from this site, and who by its origin.

Pyramid asks at its usual place, by `require_csrf`; its own check of the origin is to be off, since
it knows plain http and trusted origins less well. What `is_ours` refuses passes by no token.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken
from pyramid.interfaces import ICSRFStoragePolicy
from pyramid.request import Request
from zope.interface import implementer

from myapp.sessions.core.errors import SessionError
from myapp.sessions.core.session import Session
from myapp.sessions.core.settings import CSRF_MODES, VISITORS_BY_ORIGIN
from myapp.sessions.web.origin import is_ours

BY_ORIGIN: Final = "_csrf_by_origin"
"""In the `__dict__` of a request: whether its view is judged by origin, even for users."""


class UnprovenOrigin(BadCSRFToken, SessionError):  # type: ignore[misc]  # Pyramid has no types
    """A visitor's form without a token, whose client does not say where it comes from.

    Answer it with the form as it was filled in, as 400, and with a token made by
    `request.session.get_csrf_token()`: sent again, it passes.
    """


@implementer(ICSRFStoragePolicy)
class SessionCSRFPolicy:
    """CSRF tokens that end with the session; visitors need none (A13).

    Pyramid's own policy makes a token in order to compare with it, so that each stray POST of a
    robot would leave a row in the table.
    """

    def __init__(self, mode: str = VISITORS_BY_ORIGIN) -> None:
        """`mode` is what `session.csrf` says."""
        if mode not in CSRF_MODES:
            raise ValueError(f"expected {' or '.join(CSRF_MODES)}, not {mode!r}")
        self._by_origin = mode == VISITORS_BY_ORIGIN

    def new_csrf_token(self, request: Request) -> str:
        """Replace the session's token."""
        token: str = request.session.new_csrf_token()
        return token

    def get_csrf_token(self, request: Request) -> str:
        """The session's token, created if one is needed; empty for a visitor without one."""
        session = request.session
        if self._by_origin and _is_visitor(session) and not _token_of(session):
            return ""
        token: str = session.get_csrf_token()
        return token

    def check_csrf_token(self, request: Request, supplied_token: object) -> bool:
        """Whether a page of ours sent this; if a token is needed, in the session of that token."""
        ours = is_ours(request)
        if ours is None or (ours and not self._is_judged_by_origin(request)):
            return _bears(request.session, supplied_token)
        return ours

    def explain(self, request: Request) -> None:
        """Raise a more specific error than BadCSRFToken for a refused request, if there is one."""
        ours = is_ours(request)
        if ours is False:
            raise BadCSRFOrigin("The form comes from another site.")
        if ours is None and self._is_judged_by_origin(request):
            raise UnprovenOrigin(
                "The request has neither Sec-Fetch-Site nor Origin nor a CSRF token."
            )

    def _is_judged_by_origin(self, request: Request) -> bool:
        """Whether no token is needed if the origin is proven; the session is asked last."""
        if not self._by_origin:
            return False
        return request.__dict__.get(BY_ORIGIN, False) or _is_visitor(request.session)


def _is_visitor(session: Any) -> bool:
    # Pyramid's DummySession, used in unit tests, has no user.
    return getattr(session, "user_id", None) is None


def _token_of(session: Any) -> str | None:
    """The existing token; a DummySession only has the method that creates one."""
    known = isinstance(session, Session)
    token: str | None = session.csrf_token if known else session.get_csrf_token()
    return token


def _bears(session: Any, supplied: object) -> bool:
    # A multipart form may have a file in place of the token.
    if not isinstance(supplied, str):
        return False
    expected = _token_of(session) or ""
    # An empty token is not a secret.
    return bool(expected) and hmac.compare_digest(
        expected.encode(), supplied.encode(errors="replace")
    )
