"""What operators do with accounts: each action is one transaction, with its event and its mail.

No action sets a password: the owner chooses one with a link (A15).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from myapp.accounts import links, outbox
from myapp.accounts.accounts import new_user
from myapp.accounts.addresses import NotAnAddress, normalised
from myapp.accounts.agents import in_words
from myapp.accounts.changes import void_all
from myapp.accounts.models import Event, Message, User
from myapp.accounts.parts import Accounts
from myapp.sessions import SessionManager
from myapp.sessions.core.lifetime import to_datetime


class NotPossible(Exception):
    """The action is not possible; the message is one line that says why."""


class Operator:
    """Changes accounts. `site` is the address for links in mails if no setting names it."""

    def __init__(
        self, parts: Accounts, dbsessions: sessionmaker[Session], manager: SessionManager, site: str
    ) -> None:
        self._parts, self._dbsessions = parts, dbsessions
        self._manager, self._site = manager, site

    def create(self, email: str, role: str) -> str:
        """Create an account, whose owner chooses a password with a mailed link. Returns its
        address.
        """
        self._need_mail()
        address = _address(email)
        # Only the mail lets somebody in, which proves the address.
        user = new_user(address, self._parts.clock(), role=role)
        try:
            with self._dbsessions.begin() as dbsession:
                dbsession.add(user)
                dbsession.flush()
                self._tell(dbsession, user, "created", mail="invite")
        except IntegrityError:
            raise NotPossible(f"{address} has an account already") from None
        return address

    def disable(self, email: str) -> int:
        """Disable an account, and return how many sessions were ended."""
        with self._found(email) as (dbsession, user):
            if user.disabled_at is None:
                user.disabled_at = self._parts.clock()
                void_all(dbsession, user)
                self._tell(dbsession, user, "disabled")
            number = user.id
        # They open nothing any more: the user is looked up by each request that asks for them.
        return self._manager.end_all(number)

    def enable(self, email: str) -> None:
        """Enable an account again; it keeps its password."""
        with self._found(email) as (dbsession, user):
            if user.disabled_at is not None:
                user.disabled_at = None
                self._tell(dbsession, user, "enabled")

    def set_role(self, email: str, role: str) -> None:
        """Give an account a role, which takes effect with the next request."""
        with self._found(email) as (dbsession, user):
            if user.role != role:
                user.role = role
                self._tell(dbsession, user, "role-changed", role=role)

    def send_reset(self, email: str) -> None:
        """Send the owner of an account a link to choose a new password."""
        self._need_mail()
        with self._found(email) as (dbsession, user):
            if not user.may_sign_in:
                raise NotPossible(f"{user.email} is disabled: enable the account first")
            self._tell(dbsession, user, "reset-sent", mail="reset")

    def void_links(self) -> int:
        """Void the links in all mails, for example after a restore, which brings used ones back.
        Returns how many there were.
        """
        with self._dbsessions.begin() as dbsession:
            return links.void_everybodys(dbsession)

    def look_at(self, email: str) -> dict[str, Any]:
        """All that is known about an account, for JSON."""
        with self._found(email) as (dbsession, user):
            waiting = select(func.count()).select_from(Message).where(Message.email == user.email)
            return {
                "id": user.id,
                "email": user.email,
                "role": user.role,
                "has_password": user.password_hash is not None,
                "created": _moment(user.created_at),
                "confirmed": _moment(user.confirmed_at),
                "disabled": _moment(user.disabled_at),
                "mails_waiting": dbsession.scalar(waiting),
                "sessions": self._sessions_of(user.id),
            }

    def _sessions_of(self, user_id: int) -> list[dict[str, Any]]:
        return [
            {
                "handle": info.handle,
                "browser": in_words(info.user_agent),
                "address": info.address,
                "signed_in": info.signed_in_at and info.signed_in_at.isoformat(timespec="seconds"),
                "last_seen": info.last_seen.isoformat(timespec="seconds"),
            }
            for info in self._manager.of_user(user_id)
        ]

    @contextmanager
    def _found(self, email: str) -> Iterator[tuple[Session, User]]:
        """The account of an address, in a transaction that ends with the block."""
        address = _address(email)
        with self._dbsessions.begin() as dbsession:
            found = select(User).where(User.email == address)
            # A change of the password at the same moment waits, and is then too late.
            user = dbsession.scalar(found.with_for_update(key_share=True))
            if user is None:
                raise NotPossible(f"{address} has no account")
            yield dbsession, user

    def _tell(
        self, dbsession: Session, user: User, kind: str, *, mail: str = "", **details: str
    ) -> None:
        """Record the event, and queue its mail, of the same kind unless `mail` is given."""
        now = self._parts.clock()
        dbsession.add(Event(user_id=user.id, happened_at=now, kind=kind))
        if self._parts.settings.sends:
            about: dict[str, Any] = {"user_id": user.id, "site": self._site, **details}
            outbox.put(dbsession, mail or kind, email=user.email, now=now, **about)

    def _need_mail(self) -> None:
        if not self._parts.settings.sends:
            raise NotPossible(
                "accounts.mail is off, but a password is chosen with a link in a mail"
            )


def _address(email: str) -> str:
    try:
        return normalised(email)
    except NotAnAddress as error:
        raise NotPossible(f"{email!r} is not an e-mail address: {error}") from None


def _moment(moment: int | None) -> str | None:
    return None if moment is None else to_datetime(moment).isoformat(timespec="seconds")
