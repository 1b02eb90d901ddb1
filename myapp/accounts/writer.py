"""Writes the mail of a message: decides what its reader is told, and makes the link in it.

Requests queue the same message for every address. Only here is it found out whether an address has
an account, where nobody outside can tell by the answer or its time (A3).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from email.message import EmailMessage
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from myapp.accounts import links
from myapp.accounts.letters import LETTERS, News
from myapp.accounts.mail import one_line, written
from myapp.accounts.models import Message, User
from myapp.accounts.settings import AccountSettings

UrlOf: TypeAlias = Callable[[str, str, str], str]
"""The address of a link, of its kind, its token and the address of the site."""

_NEWS: Final = ("password-changed", "disabled", "enabled", "role-changed")
"""Mails without a link to the owner of an account, or to its owner at that time."""

_NOBODY: Final = "accounts@site.test"
"""The sender of mails that are printed."""
_NOWHERE: Final = "http://localhost"
"""The site of a message that names none, while developing."""


class Writer:
    """Writes mails by the settings of accounts."""

    def __init__(self, settings: AccountSettings, url_of: UrlOf) -> None:
        self._settings, self._url_of = settings, url_of

    def write(self, dbsession: Session, message: Message, now: int) -> EmailMessage | None:
        """The mail, whose link is added to the dbsession; None if nobody is to be told anything."""
        planned = _plan(dbsession, message)
        if planned is None:
            return None
        letter, make_link = planned
        details = {k: one_line(v) for k, v in json.loads(message.details).items()}
        site = self._settings.url or details.get("site") or _NOWHERE
        host = urlsplit(site).hostname or ""
        news = News(
            host=host,
            moment=message.created_at,
            details=details,
            link=make_link and self._link(dbsession, message, make_link, site, now),
        )
        return written(
            LETTERS[letter](news),
            to=message.email,
            sender=self._settings.mail_from or _NOBODY,
            number=message.number,
            host=host,
            now=now,
        )

    def _link(self, dbsession: Session, message: Message, kind: str, site: str, now: int) -> str:
        user = None if kind == links.CONFIRM else _user_of(dbsession, message.email)
        signup_id = message.signup_id if user is None else None
        token = links.make(
            dbsession, kind, email=message.email, now=now, user=user, signup_id=signup_id
        )
        return self._url_of(kind, token, site)


def _plan(dbsession: Session, message: Message) -> tuple[str, str] | None:
    """Which letter to write and which kind of link it has, "" for none; None for no letter."""
    if message.kind in _NEWS:
        return message.kind, ""
    user = _user_of(dbsession, message.email)
    if message.kind == "sign-up":
        return ("known-already", "") if user is not None else ("confirm", links.CONFIRM)
    # Whoever has lost the address since then gets no link to an account of somebody else.
    is_same = user is not None and message.user_id in (None, user.id)
    may_have_link = is_same and user is not None and user.may_sign_in
    if message.kind == "unknown-sign-in":
        return message.kind, links.ALARM if may_have_link else ""
    kind = {"reset": links.RESET, "invite": links.ALARM}[message.kind]
    return (message.kind, kind) if may_have_link else None


def _user_of(dbsession: Session, email: str) -> User | None:
    return dbsession.scalar(select(User).where(User.email == email))
