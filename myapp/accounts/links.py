"""Links in mails: random, valid once and for a limited time, and stored only as a digest.

The statement that deletes a link decides whether it was used before, never an earlier look (A5).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from typing import Final

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.orm import Session

from myapp.accounts.models import Link, Message, User
from myapp.sessions.core.lifetime import MINUTE

RESET: Final = "reset"
"""A new password, for a user who has forgotten the old one."""
CONFIRM: Final = "confirm"
"""An address that signed up."""
ALARM: Final = "alarm"
"""A new password, for a user who reports an unknown sign-in, or who was invited."""

_DAY: Final = 24 * 60 * MINUTE
LASTS: Final = {RESET: 20 * MINUTE, CONFIRM: _DAY, ALARM: _DAY}
"""How many milliseconds a link is valid."""

# Kinds of messages whose only purpose is a link. The one about an unknown sign-in is not among
# them: it must not be lost because somebody, perhaps a thief, has changed the password.
_ONLY_LINKS: Final = ("reset", "invite")

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def stamp_of(user: User) -> bytes:
    """What ties a link to its account: it changes with the password or the address."""
    return hashlib.sha256(user.email.encode() + b"\0" + user.generation).digest()


def digest_of(token: str) -> bytes | None:
    """A token's digest in the database; None for a text that can't be a token."""
    return hashlib.sha256(token.encode()).digest() if _TOKEN.fullmatch(token) else None


def make(
    dbsession: Session,
    kind: str,
    *,
    email: str,
    now: int,
    user: User | None = None,
    signup_id: int | None = None,
) -> str:
    """Add a link, sent to `email`, about an account or a sign-up; answers its token."""
    token = secrets.token_urlsafe(32)
    link = Link(
        digest=hashlib.sha256(token.encode()).digest(),
        kind=kind,
        user_id=None if user is None else user.id,
        signup_id=signup_id,
        email=email,
        stamp=None if user is None else stamp_of(user),
        expires_at=now + LASTS[kind],
    )
    dbsession.add(link)
    return token


def find(dbsession: Session, digest: bytes, kinds: Collection[str], now: int) -> Link | None:
    """The link with this digest, if it is valid and of one of these kinds. Changes nothing.

    None once its account has another password or address, or is disabled.
    """
    # Read again, even if this transaction has read the account before.
    found = dbsession.execute(
        select(Link, User)
        .outerjoin(User, User.id == Link.user_id)
        .where(Link.digest == digest, Link.kind.in_(kinds), Link.expires_at > now)
        .execution_options(populate_existing=True)
    ).first()
    return found[0] if found is not None and _is_good(*found) else None


def _is_good(link: Link, user: User | None) -> bool:
    if user is None:
        return link.user_id is None
    return user.may_sign_in and link.stamp == stamp_of(user)


def use_up(dbsession: Session, digest: bytes, kinds: Collection[str], now: int) -> Link | None:
    """Like `find`, but the commit deletes the link. If two requests use a link at once, the later
    one gets None, or a database error that is worth a retry.
    """
    link = find(dbsession, digest, kinds, now)
    if link is None:
        return None
    # What the caller gets outlives its row.
    dbsession.expunge(link)
    result = dbsession.execute(
        delete(Link).where(Link.digest == digest, Link.kind.in_(kinds), Link.expires_at > now),
        execution_options={"synchronize_session": False},
    )
    return link if isinstance(result, CursorResult) and result.rowcount == 1 else None


def void(dbsession: Session, user_id: int) -> None:
    """Delete a user's links, and the queued messages that are nothing but a link."""
    dbsession.execute(delete(Link).where(Link.user_id == user_id))
    # Who has forgotten a password is not looked up before the mail is sent: there is an address.
    address = select(User.email).where(User.id == user_id).scalar_subquery()
    dbsession.execute(
        delete(Message).where(Message.kind.in_(_ONLY_LINKS), Message.email == address),
        execution_options={"synchronize_session": False},
    )


def void_everybodys(dbsession: Session) -> int:
    """Delete all links, and the queued messages that are nothing but one. How many links."""
    result = dbsession.execute(delete(Link))
    dbsession.execute(delete(Message).where(Message.kind.in_(_ONLY_LINKS)))
    return result.rowcount if isinstance(result, CursorResult) else 0
