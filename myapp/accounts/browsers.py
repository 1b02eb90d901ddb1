"""The browsers in which an account was used before, each recognised by its own random cookie.

The cookie does not sign anybody in: it tells a password typed at home from one guessed elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import partial
from typing import Final

from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from myapp.accounts.models import Browser, User
from myapp.accounts.parts import parts_of
from myapp.accounts.throttle import ThrottleUnavailable
from myapp.sessions import get_manager

_LASTS: Final = 400 * 24 * 60 * 60  # seconds; browsers keep no cookie for longer
_LENGTH: Final = 43  # characters of 256 bits


def digest_of(request: Request) -> bytes | None:
    """The browser's digest in the database; None if it has no valid cookie."""
    token = request.cookies.get(_cookie_name(request), "")
    return _digest(token) if len(token) == _LENGTH else None


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
    browser = request.dbsession.get(Browser, (user.id, digest_of(request) or b""))
    if browser is None:
        # A new cookie: somebody may have planted the old one, or have a copy of it.
        token = secrets.token_urlsafe(32)
        browser = Browser(user_id=user.id, digest=_digest(token))
        _move(request, browser.digest)
        request.dbsession.add(browser)
    browser.seen_at, browser.handle = parts_of(request).clock(), request.session.handle
    request.add_response_callback(partial(_set_cookie, token))


def _move(request: Request, digest: bytes) -> None:
    """Know the others who use this browser by its new cookie."""
    moved = update(Browser).where(Browser.digest == (digest_of(request) or b""))
    request.dbsession.execute(moved.values(digest=digest))


def _set_cookie(token: str, request: Request, response: Response) -> None:
    # If nothing was committed, the browser is still known by the cookie that it has.
    if response.status_int < 400:
        response.set_cookie(
            _cookie_name(request),
            token,
            max_age=_LASTS,
            secure=get_manager(request.registry).settings.cookie_secure,
            httponly=True,
            samesite="Lax",
        )


def forget_all(dbsession: Session, user_id: int) -> None:
    """Forget all browsers of an account."""
    dbsession.execute(delete(Browser).where(Browser.user_id == user_id))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _cookie_name(request: Request) -> str:
    # It has the prefix of the session's cookie, `__Host-` for example, and like it is unique.
    return f"{get_manager(request.registry).settings.cookie_name}_browser"
