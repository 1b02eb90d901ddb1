"""Changes that concern an account's security; each is committed as a whole, or not at all (A6).

Sessions in another database are not part of that commit: their generation ends them when they are
used next.
"""

from __future__ import annotations

import secrets

from pyramid.request import Request
from pyramid.security import remember
from sqlalchemy.orm import Session

from myapp.accounts import browsers, links, notices
from myapp.accounts.models import User
from myapp.accounts.parts import parts_of
from myapp.sessions import get_manager


def new_generation() -> bytes:
    """A new generation, so that no existing session or link matches it."""
    return secrets.token_bytes(32)


def change_password(request: Request, user: User, password: str) -> None:
    """Give a user another password, end all sessions but this one, and void all links."""
    user.password_hash = parts_of(request).passwords.hash(password)
    own = request.session.handle if request.session.user_id == str(user.id) else None
    _end_all(request, user, keep=own)
    notices.note(request, "password-changed", user.id)
    notices.queue(request, "password-changed", user.email, user_id=user.id)
    begin(request, user)


def end_others(request: Request, user: User) -> int:
    """End all sessions of a user but this one. How many there were."""
    ended = _end_all(request, user, keep=request.session.handle)
    notices.note(request, "others-signed-out", user.id)
    begin(request, user)
    return ended


def void_all(dbsession: Session, user: User) -> None:
    """Void all sessions, links and known browsers of an account."""
    user.generation = new_generation()
    links.void(dbsession, user.id)
    browsers.forget_all(dbsession, user.id)


def _end_all(request: Request, user: User, *, keep: str | None) -> int:
    """End sessions, links and known browsers, here and wherever sessions live."""
    void_all(request.dbsession, user)
    request.dbsession.flush()
    return get_manager(request).end_all(user.id, keep=keep)


def begin(request: Request, user: User, *, lasts: bool | None = None) -> None:
    """Sign a user in, by a password that was just proved or chosen.

    `lasts` tells whether the cookie outlives the browser; None leaves that as it is.
    """
    remember(request, user.id, method="password")
    if lasts is not None:
        request.session.remember_me(lasts)
    browsers.remember(request, user)
