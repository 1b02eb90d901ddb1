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


def create(request: Request, email: str, password_hash: str) -> User:
    """Make an account whose address counts as confirmed.

    Raises IntegrityError if there is one of that address; the transaction goes on then.
    """
    now = parts_of(request).clock()
    user = User(
        email=email,
        password_hash=password_hash,
        generation=new_generation(),
        role=USER,
        created_at=now,
        confirmed_at=now,
    )
    with request.dbsession.begin_nested():
        request.dbsession.add(user)
    notices.note(request, "signed-up", user.id)
    return user


def forget_wishes(dbsession: Session, email: str) -> None:
    """Drop all sign-ups of an address that has its account now; their links go with them."""
    dbsession.execute(delete(SignUp).where(SignUp.email == email))
