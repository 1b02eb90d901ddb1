"""A security policy on top of `request.session`: who is signed in is the session's user."""

from __future__ import annotations

from typing import Any

from pyramid.authorization import ACLHelper, Authenticated, Everyone
from pyramid.interfaces import ISecurityPolicy
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
