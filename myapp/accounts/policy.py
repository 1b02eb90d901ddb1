"""Who is signed in, and what they may do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from pyramid.authorization import DENY_ALL, Allow, Authenticated
from pyramid.request import Request

from myapp.accounts.models import User
from myapp.sessions import SessionSecurityPolicy

USER: Final = "user"
ADMINISTRATOR: Final = "administrator"
ROLES: Final = (USER, ADMINISTRATOR)

_DIGITS: Final = 19  # of the first number that a database may not take


class AccountPolicy(SessionSecurityPolicy):
    """The user is looked up at each request that asks, so disabling one takes effect at once."""

    def user(self, request: Request, user_id: str) -> User | None:
        """The account with this id; None if it does not exist, or may not sign in (any more)."""
        # Another policy, before this one, may have had other ids, and longer numbers than fit.
        is_number = user_id.isascii() and user_id.isdigit() and len(user_id) < _DIGITS
        number = int(user_id) if is_number else 0
        user: User | None = request.dbsession.get(User, number)
        return user if user is not None and user.may_sign_in else None

    def generation(self, user: User | None) -> bytes | None:
        """The user's generation: a new password, among other things, replaces it."""
        return None if user is None else user.generation

    def groups(self, user: User) -> Iterable[str]:
        """Its role, as ACLs name it."""
        return (f"role:{user.role}",)


class Root:
    """Decides the permissions of views, unless a route has its own factory."""

    __acl__: ClassVar[list[Any]] = [
        (Allow, Authenticated, "use"),
        (Allow, f"role:{ADMINISTRATOR}", "administer"),
        DENY_ALL,
    ]

    def __init__(self, request: Request) -> None:
        pass
