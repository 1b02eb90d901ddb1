"""Pyramid's policies on top of `request.session`: who is signed in, and the CSRF token."""

from __future__ import annotations

import hmac
from typing import Any

from pyramid.authorization import ACLHelper, Authenticated, Everyone
from pyramid.interfaces import ICSRFStoragePolicy, ISecurityPolicy
from pyramid.request import Request
from zope.interface import implementer


@implementer(ISecurityPolicy)
class SessionSecurityPolicy:
    """Signs users in and out of `request.session`, by Pyramid's `remember` and `forget`.

    Permissions come from ACLs. A subclass overrides `identity` to answer an object of its own.
    """

    def identity(self, request: Request) -> Any:
        """The user id, or None; a subclass may answer the user."""
        return request.session.user_id

    def authenticated_userid(self, request: Request) -> str | None:
        """The id of the signed-in user, or None."""
        return request.session.user_id if self.identity(request) is not None else None

    def permits(self, request: Request, context: Any, permission: str) -> Any:
        """Whether the context's ACL allows it."""
        user_id = self.authenticated_userid(request)
        principals = [Everyone] if user_id is None else [Everyone, Authenticated, user_id]
        return ACLHelper().permits(context, principals, permission)

    def remember(self, request: Request, userid: str | int, **kw: Any) -> list[tuple[str, str]]:
        """Sign a user in. The session's cookie is sent with the response: no headers here."""
        request.session.sign_in(userid, **kw)
        return []

    def forget(self, request: Request, **kw: Any) -> list[tuple[str, str]]:
        """Sign the user out, and end the session."""
        request.session.sign_out()
        return []


@implementer(ICSRFStoragePolicy)
class SessionCSRFPolicy:
    """CSRF tokens that live and end with the visitor's session.

    Pyramid's own policy makes a token in order to compare with it, so that each stray POST of a
    robot would leave a row in the table.
    """

    def new_csrf_token(self, request: Request) -> str:
        """Replace the session's token."""
        token: str = request.session.new_csrf_token()
        return token

    def get_csrf_token(self, request: Request) -> str:
        """The session's token, made now if it has none."""
        token: str = request.session.get_csrf_token()
        return token

    def check_csrf_token(self, request: Request, supplied_token: str) -> bool:
        """Whether our own page sent this token, in the session it was made for."""
        # Browsers tell what caused a request, over plain http too; whatever is no browser does
        # not, and is judged by the token alone.
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            return False
        expected = request.session.csrf_token
        if expected is None:
            return False
        return hmac.compare_digest(expected.encode(), supplied_token.encode(errors="replace"))
