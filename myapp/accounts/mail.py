"""Mails in the standard's format, and the ways to send them.

Text from outside, such as an address or a browser's name, can't add a header or a line.
"""

from __future__ import annotations

import logging
import unicodedata
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final, Protocol

from email_validator import validate_email

from myapp.accounts.letters import Letter
from myapp.accounts.settings import AccountSettings
from myapp.accounts.smtp import SMTPTransport

log = logging.getLogger(__name__)

_KEPT: Final = 50
"""How many printed mails a developer can read again."""


class Transport(Protocol):
    """A way to send mails."""

    @property
    def printed(self) -> Sequence[EmailMessage]:
        """The last mails, for a developer to read; empty if mails are really sent."""

    def send(self, mail: EmailMessage) -> None:
        """Send a mail to its one recipient, in less than a minute and a half. Raises MailRefused if
        that will never be taken, and anything else if it is worth another attempt.
        """


class PrintTransport:
    """Writes mails into the log, and keeps the last ones in memory."""

    def __init__(self) -> None:
        self._printed: deque[EmailMessage] = deque(maxlen=_KEPT)

    @property
    def printed(self) -> Sequence[EmailMessage]:
        """The oldest first."""
        return tuple(self._printed)

    def send(self, mail: EmailMessage) -> None:
        """Print it."""
        self._printed.append(mail)
        words = mail["To"], mail["Subject"], mail.get_content()
        # A developer has to follow the link, which the log would otherwise mask.
        log.info("To: %s\nSubject: %s\n\n%s", *words, extra={"shows_links": True})


def from_settings(settings: AccountSettings) -> Transport:
    """The way that `accounts.mail` names; with `off`, nothing is sent with it."""
    return (
        SMTPTransport(settings.mail) if settings.sends and not settings.prints else PrintTransport()
    )


def written(
    letter: Letter, *, to: str, sender: str, number: str, host: str, now: int
) -> EmailMessage:
    """A letter as a mail. Raises ValueError for an invalid address."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = _address(sender), _address(to)
    mail["Subject"] = letter.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(now / 1000, UTC))
    mail["Message-ID"] = f"<{number}@{host}>"
    # No out-of-office reply, please (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(letter.text)
    return mail


def _address(text: str) -> Address:
    """An address with its domain in ASCII, since many servers know no other. The sender's may be
    one within an organisation's own network, such as `root@intranet`.
    """
    valid = validate_email(
        text, check_deliverability=False, globally_deliverable=False, test_environment=True
    )
    return Address(username=valid.local_part, domain=valid.ascii_domain)


def one_line(text: str, limit: int = 200) -> str:
    """Any text from outside, made safe so that it stays within its line of a mail."""
    plain = (c if c.isprintable() else " " for c in unicodedata.normalize("NFC", text[:limit]))
    return "".join(plain).strip()
