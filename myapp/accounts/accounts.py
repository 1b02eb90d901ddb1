"""Making accounts."""

from __future__ import annotations

from pyramid.request import Request
from sqlalchemy import delete
from sqlalchemy.orm import Session

from myapp.accounts import notices
from myapp.accounts.changes import new_generation
from myapp.accounts.models import SignUp, User
from myapp.accounts.parts import parts_of
from myapp.accounts.policy import USER


def new_user(email: str, now: int, *, role: str = USER, password_hash: str | None = None) -> User:
    """An account whose address counts as confirmed, for a dbsession to store."""
    return User(
        email=email,
        password_hash=password_hash,
        generation=new_generation(),
        role=role,
        created_at=now,
        confirmed_at=now,
    )


def create(request: Request, email: str, password_hash: str) -> User:
    """Store a new account, and note it in the account's history.

    Raises IntegrityError if there is one of that address; the transaction goes on then.
    """
    user = new_user(email, parts_of(request).clock(), password_hash=password_hash)
    with request.dbsession.begin_nested():
        request.dbsession.add(user)
    notices.note(request, "signed-up", user.id)
    return user


def forget_wishes(dbsession: Session, email: str) -> None:
    """Delete all sign-ups of an address that has an account now; their links are deleted, too."""
    dbsession.execute(delete(SignUp).where(SignUp.email == email))
