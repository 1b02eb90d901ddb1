"""Mails that wait to be sent: written with the change that they report, sent by a thread later.

The outbox holds no token. The sender of a message creates its link, commits the link's digest, and
only then sends (A6). Two processes never send one message: the sender claims it for a while first.
"""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final

from email_validator import EmailNotValidError
from sqlalchemy import CursorResult, Delete, Engine, Update, delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from myapp.accounts.apart import committed
from myapp.accounts.mail import Transport
from myapp.accounts.models import Message
from myapp.accounts.settings import AccountSettings
from myapp.accounts.smtp import MailRefused
from myapp.accounts.writer import UrlOf, Writer
from myapp.sessions.core.lifetime import MINUTE, SECOND, Clock

log = logging.getLogger(__name__)

LEASE: Final = 2 * MINUTE
"""How long a message is claimed; sending takes less time, see `myapp.accounts.smtp`."""

_HOUR: Final = 60 * MINUTE
PAUSES: Final = (MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * _HOUR, 6 * _HOUR)
"""The pauses before the second attempt and later ones; the last one is used for all others."""
GIVEN_UP_AFTER: Final = 3 * 24 * _HOUR

_BATCH: Final = 20


def put(
    dbsession: Session,
    kind: str,
    *,
    email: str,
    now: int,
    user_id: int | None = None,
    signup_id: int | None = None,
    **details: str,
) -> None:
    """Add a message, by the same statement whether or not the address has an account."""
    message = Message(
        kind=kind,
        email=email,
        user_id=user_id,
        signup_id=signup_id,
        details=json.dumps(details),
        number=secrets.token_hex(16),
        created_at=now,
        due_at=now,
        attempts=0,
    )
    dbsession.add(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    """A message that is ours until `until`."""

    id: int
    kind: str
    email: str
    number: str
    created_at: int
    attempts: int
    until: int

    @property
    def words(self) -> str:
        """What the log may say about it: not the whole address."""
        name, _, domain = self.email.rpartition("@")
        return f"mail {self.number[:8]} ({self.kind}) to {name[:1]}…@{domain}"


class Sender:
    """Sends what is due. Any number of them may work on one database."""

    def __init__(
        self,
        engine: Engine,
        settings: AccountSettings,
        transport: Transport,
        url_of: UrlOf,
        clock: Clock,
    ) -> None:
        self.transport, self.clock = transport, clock
        self.engine, self.settings = committed(engine), settings
        self._dbsession = sessionmaker(self.engine)
        self._writer = Writer(settings, url_of)
        self._sent: set[int] = set()

    def send_due(self) -> int:
        """Send, drop or put off what is due, a batch at most. How many messages there were.

        Raises the database's errors: then the rest is tried again once their time is over.
        """
        if not self.settings.sends:
            return 0
        handled = 0
        for number, due_at in self._due():
            # One at a time: the time of a message runs from here on.
            claimed = self._claim(number, due_at)
            if claimed is not None:
                self._handle(claimed)
                handled += 1
        return handled

    def _due(self) -> list[tuple[int, int]]:
        due = select(Message.id, Message.due_at).where(Message.due_at <= self.clock())
        with self._dbsession() as dbsession:
            rows = dbsession.execute(due.order_by(Message.due_at, Message.id).limit(_BATCH))
            return [(row.id, row.due_at) for row in rows]

    def _claim(self, number: int, due_at: int) -> _Claimed | None:
        """Postpone the message, to claim it, unless another sender was first."""
        until = self.clock() + LEASE
        mine = (Message.id == number, Message.due_at == due_at)
        moved = update(Message).where(*mine).values(due_at=until, attempts=Message.attempts + 1)
        with self._dbsession.begin() as dbsession:
            if _count(dbsession, moved) != 1:
                return None
            message = dbsession.get_one(Message, number)
            return _Claimed(
                id=number,
                kind=message.kind,
                email=message.email,
                number=message.number,
                created_at=message.created_at,
                attempts=message.attempts,
                until=until,
            )

    def _handle(self, claimed: _Claimed) -> None:
        try:
            mail = None if claimed.id in self._sent else self._write(claimed)
            if mail is not None:
                self.transport.send(mail)
                # If the database is gone now, this process still won't send it twice.
                self._sent.add(claimed.id)
        except DBAPIError:
            raise
        except (MailRefused, EmailNotValidError) as error:
            log.error("given up: %s, %s", claimed.words, _reason(error))
        except Exception as error:
            self._put_off(claimed, error)
            return
        self._delete(claimed)

    def _write(self, claimed: _Claimed) -> EmailMessage | None:
        """The mail, whose link is committed; None if there is nothing to send."""
        with self._dbsession.begin() as dbsession:
            message = dbsession.get(Message, claimed.id)
            # It may have been made void since.
            if message is None:
                return None
            return self._writer.write(dbsession, message, self.clock())

    def _put_off(self, claimed: _Claimed, error: Exception) -> None:
        if self.clock() - claimed.created_at >= GIVEN_UP_AFTER:
            log.error("given up after 3 days: %s, %s", claimed.words, _reason(error))
            self._delete(claimed)
            return
        if not isinstance(error, OSError):
            log.error("an unexpected error while sending a mail", exc_info=error)
        pause = PAUSES[min(claimed.attempts, len(PAUSES)) - 1]
        log.warning("put off for %d s: %s, %s", pause // SECOND, claimed.words, _reason(error))
        # If another sender has claimed it by now, leave its time alone.
        mine = (Message.id == claimed.id, Message.due_at == claimed.until)
        with self._dbsession.begin() as dbsession:
            _count(dbsession, update(Message).where(*mine).values(due_at=self.clock() + pause))

    def _delete(self, claimed: _Claimed) -> None:
        with self._dbsession.begin() as dbsession:
            _count(dbsession, delete(Message).where(Message.id == claimed.id))
        self._sent.discard(claimed.id)


def _count(dbsession: Session, statement: Update | Delete) -> int:
    result = dbsession.execute(statement, execution_options={"synchronize_session": False})
    return result.rowcount if isinstance(result, CursorResult) else 0


def _reason(error: Exception) -> str:
    """The error without its message, in which servers may repeat an address or a token."""
    code = getattr(error, "smtp_code", None)
    words = str(error) if isinstance(error, MailRefused) else code
    return f"{type(error).__name__} {words or ''}".strip()
