"""Checks whether somebody is who they say they are, and how often that may be tried.

A known and an unknown address cause the same statements and one run of argon2 (A3).
"""

from __future__ import annotations

from typing import Final

from pyramid.request import Request
from sqlalchemy import select

from myapp.accounts import browsers
from myapp.accounts.models import User
from myapp.accounts.parts import parts_of
from myapp.accounts.throttle import (
    SIGN_IN_BY_ACCOUNT,
    SIGN_IN_BY_BROWSER,
    SIGN_IN_BY_NETWORK,
    Limit,
    network_of,
)

_COUNTED: Final = "myapp.accounts.counted"

REFUSED: Final = (
    "There is no account with this address and this password. Check both, then try again."
)


def wait_for(request: Request, *limits: tuple[Limit, str]) -> int:
    """Count an attempt for each limit and its subject. Returns the seconds to wait; 0 lets it pass.

    A request that pyramid_retry repeats is counted once. Raises ThrottleUnavailable.
    """
    # The attempts of pyramid_retry share the environ. Its own number does not tell whether the
    # first one came as far as this.
    if _COUNTED not in request.environ:
        parts = parts_of(request)
        request.environ[_COUNTED] = parts.throttle.try_all(limits, parts.clock())
    # The answer is that of the first attempt, too: repeating a refusal lets nobody pass.
    wait: int = request.environ[_COUNTED]
    return -(-wait // 1000)


def network(request: Request) -> str:
    """Where a request came from. What proxies say counts only if the server trusts them."""
    return network_of(request.remote_addr or "")


def wait_for_sign_in(request: Request, email: str, *, known: bool) -> int:
    """Count an attempt to sign in. A stranger's attempts don't lock the owner's browsers out."""
    account = (SIGN_IN_BY_ACCOUNT, email)
    if known:
        browser = browsers.digest_of(request) or b""
        account = (SIGN_IN_BY_BROWSER, f"{email} {browser.hex()}")
    return wait_for(request, (SIGN_IN_BY_NETWORK, network(request)), account)


def user_by(request: Request, email: str, password: str) -> User | None:
    """The user whose address and password these are, if they may sign in."""
    user: User | None = request.dbsession.scalar(select(User).where(User.email == email))
    passwords = parts_of(request).passwords
    right = passwords.verify(None if user is None else user.password_hash, password)
    if not right or user is None or not user.may_sign_in:
        return None
    if user.password_hash and passwords.needs_rehash(user.password_hash):
        user.password_hash = passwords.hash(password)
    return user


def proves(request: Request, user: User, password: str) -> bool:
    """Whether the one who is signed in knows the account's password."""
    return parts_of(request).passwords.verify(user.password_hash, password)
