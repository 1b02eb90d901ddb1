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
    """The user is looked up in each request that asks: one who was disabled is out at once."""

    def user(self, request: Request, user_id: str) -> User | None:
        """The account with this id, None if it may not sign in, or no more."""
        # Another policy, before this one, may have had other ids, and longer numbers than fit.
        is_number = user_id.isascii() and user_id.isdigit() and len(user_id) < _DIGITS
        number = int(user_id) if is_number else 0
        user: User | None = request.dbsession.get(User, number)
        return user if user is not None and user.may_sign_in else None

    def generation(self, user: User | None) -> bytes | None:
        """What another password, among other things, replaces."""
        return None if user is None else user.generation

    def groups(self, user: User) -> Iterable[str]:
        """Its role, as ACLs name it."""
        return (f"role:{user.role}",)


class Root:
    """What the permissions of views are asked of, unless a route has a factory of its own."""

    __acl__: ClassVar[list[Any]] = [
        (Allow, Authenticated, "use"),
        (Allow, f"role:{ADMINISTRATOR}", "administer"),
        DENY_ALL,
    ]

    def __init__(self, request: Request) -> None:
        pass
