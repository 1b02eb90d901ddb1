"""Sends mails to a mail server by SMTP.

The whole takes less time than a message is claimed for (see `myapp.accounts.outbox`): otherwise
another process would send it too.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_PORTS: Final = {"smtp": 25, "smtps": 465}
_STEP: Final = 15.0
"""Seconds for one step of the conversation."""
_WHOLE: Final = 60.0
"""Seconds for the whole conversation, also with a server that sends a byte now and then."""

# What is said of a recipient, and means that we have to sign in or to encrypt.
_OURS_TO_MEND: Final = 530


class MailRefused(Exception):
    """The mail server will never take a mail for this recipient; the message is its code."""


class SMTPTransport:
    """Sends by the server of a URL such as `smtp://user:password@host:587`.

    The connection is encrypted where the server offers it, and must be if there is a password.
    On this machine it may stay plain: what serves there has rarely a certificate to be verified by.
    A `context` of one's own, with other authorities, is used everywhere.
    """

    printed: Sequence[EmailMessage] = ()

    def __init__(
        self,
        url: str,
        *,
        context: ssl.SSLContext | None = None,
        step: float = _STEP,
        whole: float = _WHOLE,
    ) -> None:
        parts = urlsplit(url)
        self._scheme, self._host = parts.scheme, parts.hostname or ""
        self._port = parts.port or _PORTS[self._scheme]
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._encrypts = context is not None or not _is_here(self._host)
        self._context = context or ssl.create_default_context()
        self._step, self._whole = step, whole

    def send(self, mail: EmailMessage) -> None:
        """Send a mail to its one recipient. Raises MailRefused if the server will never take it,
        OSError or SMTPException if it may, later.
        """
        try:
            with self._connected(mail["From"].addresses[0].domain) as server:
                server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code = max(code for code, _ in error.recipients.values())
            if 500 <= code < 600 and code != _OURS_TO_MEND:
                raise MailRefused(f"the server answered {code}") from None
            raise
        except smtplib.SMTPNotSupportedError:
            if mail["To"].addresses[0].addr_spec.isascii():
                raise
            raise MailRefused("the server accepts only ASCII addresses") from None

    @contextlib.contextmanager
    def _connected(self, name: str) -> Iterator[smtplib.SMTP]:
        """A conversation in which we have said who we are, by a name of ours."""
        server = self._connect(name)
        try:
            if self._scheme == "smtp":
                self._encrypt(server)
            if self._user:
                server.login(self._user, self._password)
            yield server
            # The mail is taken: what goes wrong from here on is no matter of it.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
        finally:
            server.close()

    def _connect(self, name: str) -> smtplib.SMTP:
        # The name is given: to ask the resolver for one's own may take long.
        where = (self._whole, self._host, self._port, name)
        if self._scheme == "smtps":
            return _LimitedTLS(*where, timeout=self._step, context=self._context)
        return _Limited(*where, timeout=self._step)

    def _encrypt(self, server: smtplib.SMTP) -> None:
        if not self._encrypts:
            return
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls"):
            server.starttls(context=self._context)
        elif self._password:
            raise smtplib.SMTPException(
                "the server does not offer STARTTLS, so the password was not sent"
            )


def _is_here(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


class _Limited(smtplib.SMTP):
    """A conversation that ends in time even if the server stalls."""

    def __init__(self, whole: float, *where: Any, **options: Any) -> None:
        self._alarm = threading.Timer(whole, self._hang_up)
        self._alarm.daemon = True
        self._alarm.start()
        try:
            super().__init__(*where, **options)
        except BaseException:
            self._alarm.cancel()
            raise

    def _hang_up(self) -> None:
        # Ends the wait for the server's next byte.
        with contextlib.suppress(OSError):
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        self._alarm.cancel()
        super().close()


class _LimitedTLS(_Limited, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte on."""
