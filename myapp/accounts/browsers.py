"""The browsers that an account was used in before, each known by a random cookie of its own.

The cookie opens nothing: it tells a password typed at home from one that is guessed elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from myapp.accounts.models import Browser, User
from myapp.accounts.parts import parts_of
from myapp.accounts.throttle import ThrottleUnavailable
from myapp.sessions import get_manager

_LASTS: Final = 400 * 24 * 60 * 60  # seconds; browsers keep no cookie for longer
_LENGTH: Final = 43  # characters of 256 bits


def digest_of(request: Request) -> bytes | None:
    """What stands for the browser in the database; None for one that was never here."""
    token = request.cookies.get(_cookie_name(request), "")
    return hashlib.sha256(token.encode()).digest() if len(token) == _LENGTH else None


def is_known(request: Request, email: str) -> bool:
    """Whether the browser has been used with this account. Asked apart from the request's
    transaction, which must not have begun when attempts are counted. Raises ThrottleUnavailable.
    """
    known = select(Browser.user_id).join(User, User.id == Browser.user_id)
    known = known.where(User.email == email, Browser.digest == (digest_of(request) or b""))
    try:
        with parts_of(request).engine.connect() as connection:
            return connection.execute(known).first() is not None
    except DBAPIError as error:
        raise ThrottleUnavailable("a browser could not be looked up") from error


def remember(request: Request, user: User) -> None:
    """Know this browser again when the same user comes back, by a cookie with the response."""
    token = request.cookies.get(_cookie_name(request), "")
    if len(token) != _LENGTH:
        token = secrets.token_urlsafe(32)
    digest, now = hashlib.sha256(token.encode()).digest(), parts_of(request).clock()
    browser = request.dbsession.get(Browser, (user.id, digest))
    if browser is None:
        browser = Browser(user_id=user.id, digest=digest)
        request.dbsession.add(browser)
    browser.seen_at, browser.handle = now, request.session.handle
    settings = get_manager(request.registry).settings

    def set_cookie(request: Request, response: Response) -> None:
        response.set_cookie(
            _cookie_name(request),
            token,
            max_age=_LASTS,
            secure=settings.cookie_secure,
            httponly=True,
            samesite="Lax",
        )

    request.add_response_callback(set_cookie)


def forget_all(dbsession: Session, user_id: int) -> None:
    """Take all browsers of an account for strangers from now on."""
    dbsession.execute(delete(Browser).where(Browser.user_id == user_id))


def _cookie_name(request: Request) -> str:
    # It has the prefix of the session's cookie, `__Host-` for example, and like it is unique.
    return f"{get_manager(request.registry).settings.cookie_name}_browser"
