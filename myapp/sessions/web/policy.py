"""Pyramid's security policy on top of `request.session`: who is signed in."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from typing import Any

from pyramid.authorization import ACLHelper, Authenticated, Everyone
from pyramid.interfaces import ISecurityPolicy
from pyramid.request import Request, RequestLocalCache
from zope.interface import implementer

from myapp.sessions.core.errors import SessionClosed
from myapp.sessions.core.user import checked_generation, user_name


@implementer(ISecurityPolicy)
class SessionSecurityPolicy:
    """Signs users in and out of `request.session`, by Pyramid's `remember` and `forget`.

    A subclass overrides `user`, to return its own object as the identity and to refuse
    users who may not sign in any more, and `groups`, for ACLs that name groups.

    A session carries its user's security generation (R7). Once that is another one, since the
    password was changed, the session ends at its next use. The session in which it was changed
    goes on if the view calls `remember` again, which ASVS 7.2.4 asks for anyway.
    """

    def __init__(self) -> None:
        self._identities = RequestLocalCache(self._load_identity)

    def user(self, request: Request, user_id: str) -> Any:
        """The user with this id; None if there is none (any more). Here it is the id itself."""
        return user_id

    def generation(self, user: Any) -> bytes | None:
        """A value whose change ends the user's sessions: a hash of `user.password_hash`.

        It has at most 32 bytes; None if users have no password hash.
        """
        password_hash = getattr(user, "password_hash", None)
        if password_hash is None:
            return None
        text = password_hash if isinstance(password_hash, bytes) else str(password_hash).encode()
        return hashlib.sha256(b"generation\0" + text).digest()

    def groups(self, user: Any) -> Iterable[str]:
        """The groups of a user, as ACLs name them, such as `group:editors`; here none."""
        return ()

    def identity(self, request: Request) -> Any:
        """The signed-in user, as `user` returns it, or None."""
        return self._identities.get_or_create(request)

    def _load_identity(self, request: Request) -> Any:
        session = request.session
        if session.user_id is None:
            return None
        user = self.user(request, session.user_id)
        if user is None or checked_generation(self.generation(user)) != session.generation:
            # First asked for when the response is decided already, for example by a logger.
            with contextlib.suppress(SessionClosed):
                session.sign_out("outdated")
            return None
        return user

    def authenticated_userid(self, request: Request) -> str | None:
        """The id of the signed-in user, or None."""
        if self.identity(request) is None:
            return None
        user_id: str | None = request.session.user_id
        return user_id

    def permits(self, request: Request, context: Any, permission: str) -> Any:
        """Whether the context's ACL grants the permission."""
        user = self.identity(request)
        principals = [Everyone]
        if user is not None:
            principals += [Authenticated, request.session.user_id, *self.groups(user)]
        return ACLHelper().permits(context, principals, permission)

    def remember(
        self, request: Request, userid: str | int, *, method: str | None = None, **kw: Any
    ) -> list[tuple[str, str]]:
        """Sign a user in. Returns no headers, because the response sends the session's cookie.

        `method` is how they proved who they are, such as `password`.
        """
        if kw:
            raise TypeError(
                f"remember does not accept {', '.join(kw)}: session.remember_me() and the session's"
                " settings decide how long it lasts"
            )
        generation = self.generation(self.user(request, user_name(userid)))
        request.session.sign_in(userid, generation=generation, method=method)
        self._identities.clear(request)
        return []

    def forget(self, request: Request, **kw: Any) -> list[tuple[str, str]]:
        """Sign the user out, and end the session."""
        request.session.sign_out()
        self._identities.clear(request)
        return []
