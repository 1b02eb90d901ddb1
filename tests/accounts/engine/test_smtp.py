"""Mails by SMTP: real servers, some of which refuse, die or dawdle."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPServerDisconnected
from typing import Any, Final

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from email_validator import EmailNotValidError

from harness.servers.certificates import Authority
from harness.servers.ports import free_port
from myapp.accounts.letters import LETTERS, Letter, News
from myapp.accounts.mail import from_settings, one_line, written
from myapp.accounts.settings import read_account_settings
from myapp.accounts.smtp import MailRefused, SMTPTransport
from tests.accounts.engine.conftest import NOW

HOST: Final = "127.0.0.1"


class Mailbox:
    """Takes mails, unless it has an answer for the recipient that says no."""

    def __init__(self, answer: str = "250 OK") -> None:
        self.answer = answer
        self.mails: list[EmailMessage] = []
        self.encrypted: list[bool] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, to: str, opt: Any) -> str:
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(to)
        return self.answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(BytesParser(EmailMessage, policy=default).parsebytes(envelope.content))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


@contextlib.contextmanager
def serving(box: Mailbox, **options: Any) -> Iterator[int]:
    """The port of a real mail server."""
    port = free_port()
    server = Controller(box, hostname=HOST, port=port, **options)
    server.start()
    yield port
    server.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "somebody")


def server_context(authority: Authority, name: str = HOST) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name))
    return context


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.path)


def a_mail(to: str = "ann@example.com", text: str = "Hello,\n.\nAnn\n") -> EmailMessage:
    letter = Letter(subject="Grüße", text=text)
    return written(
        letter, to=to, sender="us@example.com", number="a1b2", host="example.com", now=NOW
    )


def test_a_mail_arrives_as_it_was_written() -> None:
    """A6: with the headers that tell machines what it is."""
    box = Mailbox()
    with serving(box) as port:
        SMTPTransport(f"smtp://{HOST}:{port}").send(a_mail())
    (mail,) = box.mails
    assert mail["To"] == "ann@example.com"
    assert mail["From"] == "us@example.com"
    assert mail["Subject"] == "Grüße"
    assert mail["Message-ID"] == "<a1b2@example.com>"
    assert mail["Date"] == "Mon, 21 Sep 2026 14:13:20 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().splitlines() == ["Hello,", ".", "Ann"]


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.com\r\nBcc: all@example.com",
        "ann@example.com\nBcc: all@example.com",
        "ann@example.com, all@example.com",
        "Ann <ann@example.com>",
        "ann@example.com\0",
    ],
)
def test_header_injected_by_an_address(address: str) -> None:
    """A6: what is more than one address is none."""
    with pytest.raises(EmailNotValidError):
        a_mail(address)


@pytest.mark.parametrize("kind", LETTERS)
def test_header_injected_by_an_agent(kind: str) -> None:
    """A6: the name of a browser stays within its line, and a mail has one recipient."""
    nasty = "Fire\r\n\r\n.\r\nBcc: all@example.com\r\n\ud800\0\u2028Fox" + "x" * 10_000
    details = {name: one_line(nasty) for name in ("browser", "address", "role")}
    news = News(host="example.com", moment=NOW, details=details, link="https://example.com/x")
    mail = written(
        LETTERS[kind](news), to="ann@example.com", sender="us@example.com", number="a", host="h",
        now=NOW,
    )  # fmt: skip
    box = Mailbox()
    with serving(box) as port:
        SMTPTransport(f"smtp://{HOST}:{port}").send(mail)
    (arrived,) = box.mails
    assert arrived["Bcc"] is None
    assert arrived["To"] == "ann@example.com"
    lines = arrived.get_content().splitlines()
    assert not [line for line in lines if line.startswith(("Bcc", "."))]
    assert max(map(len, lines)) < 600


def test_an_address_beyond_ascii_has_an_ascii_domain() -> None:
    """A6: most servers know no other."""
    box = Mailbox()
    with serving(box, enable_SMTPUTF8=False) as port:
        SMTPTransport(f"smtp://{HOST}:{port}").send(a_mail("ann@exämple.com"))
        assert box.mails[0]["To"] == "ann@xn--exmple-cua.com"
        with pytest.raises(MailRefused):
            SMTPTransport(f"smtp://{HOST}:{port}").send(a_mail("änn@example.com"))
    with serving(box, enable_SMTPUTF8=True) as port:
        SMTPTransport(f"smtp://{HOST}:{port}").send(a_mail("änn@example.com"))
    assert len(box.mails) == 2


def test_starttls_is_used_where_it_is_offered(authority: Authority) -> None:
    """A6: with a certificate that was verified, else nothing is sent."""
    box, context = Mailbox(), server_context(authority)
    with serving(box, tls_context=context) as port:
        SMTPTransport(f"smtp://{HOST}:{port}", context=trusting(authority)).send(a_mail())
        with pytest.raises(ssl.SSLCertVerificationError):
            SMTPTransport(
                f"smtp://{HOST}:{port}", context=ssl.create_default_context()
            ).send(a_mail())  # fmt: skip
    elsewhere = server_context(authority, "mail.example.com")
    with serving(box, tls_context=elsewhere) as port, pytest.raises(ssl.SSLCertVerificationError):
        SMTPTransport(f"smtp://{HOST}:{port}", context=trusting(authority)).send(a_mail())
    assert box.encrypted == [True]


def test_smtps_is_encrypted_from_the_first_byte(authority: Authority) -> None:
    """A6: `smtps://`, verified as well."""
    box = Mailbox()
    with serving(box, ssl_context=server_context(authority)) as port:
        SMTPTransport(f"smtps://{HOST}:{port}", context=trusting(authority)).send(a_mail())
        with pytest.raises(ssl.SSLCertVerificationError):
            SMTPTransport(f"smtps://{HOST}:{port}").send(a_mail())
    assert len(box.mails) == 1


def test_a_password_travels_encrypted_alone(authority: Authority) -> None:
    """A6: without STARTTLS it is not sent; with it, percent-encoded signs are what they mean."""
    heard: list[tuple[bytes, bytes]] = []

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        heard.append((data.login, data.password))
        return AuthResult(success=True)

    box, url = Mailbox(), "smtp://us%40example.com:p%40ss%3Aw%25rd@" + HOST
    options = {"authenticator": check, "auth_require_tls": False}
    with serving(box, **options) as port, pytest.raises(SMTPException, match="STARTTLS"):
        SMTPTransport(f"{url}:{port}", context=trusting(authority)).send(a_mail())
    assert heard == []
    with serving(box, tls_context=server_context(authority), **options) as port:
        SMTPTransport(f"{url}:{port}", context=trusting(authority)).send(a_mail())
    assert heard == [(b"us@example.com", b"p@ss:w%rd")]
    assert box.encrypted == [True]


@pytest.mark.parametrize("code", [550, 551, 553, 554])
def test_a_server_refuses_a_recipient_for_good(code: int) -> None:
    """A6: the error tells the code, and nothing that the server said."""
    box = Mailbox(f"{code} ann@example.com is nobody")
    with serving(box) as port, pytest.raises(MailRefused) as caught:
        SMTPTransport(f"smtp://{HOST}:{port}").send(a_mail())
    assert str(caught.value) == f"the server answered {code}"


@pytest.mark.parametrize("code", [421, 450, 530])
def test_a_server_refuses_a_recipient_for_now(code: int) -> None:
    """A6: a greylist, or something that we have to mend."""
    with serving(Mailbox(f"{code} later")) as port, pytest.raises(SMTPRecipientsRefused):
        SMTPTransport(f"smtp://{HOST}:{port}").send(a_mail())


@contextlib.contextmanager
def speaking(speak: Any) -> Iterator[int]:
    """The port of a server that does what `speak(connection)` does, once, and hangs up."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = door.accept()
            with connection:
                speak(connection)

    with socket.create_server((HOST, 0)) as door:
        thread = threading.Thread(target=serve)
        thread.start()
        yield door.getsockname()[1]
    thread.join(20)


def dies_within_a_message(connection: socket.socket) -> None:
    """A mail server that is killed when it has half of a message."""
    connection.sendall(b"220 here\r\n")
    reader = connection.makefile("rb")
    for line in reader:
        if line.upper().startswith(b"DATA"):
            connection.sendall(b"354 go on\r\n")
            connection.recv(10)
            return
        connection.sendall(b"250 yes\r\n")


def test_a_server_killed_in_the_middle_of_a_message() -> None:
    """A6: an error for which it is sent again, and never taken for sent."""
    with speaking(dies_within_a_message) as port, pytest.raises(SMTPServerDisconnected):
        SMTPTransport(f"smtp://{HOST}:{port}").send(a_mail(text="x" * 1_000_000))


def greets_slowly(connection: socket.socket) -> None:
    """A mail server that says a little, again and again."""
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"220-wait\r\n")
            time.sleep(0.05)


def test_a_server_that_greets_slowly() -> None:
    """A6: the whole conversation has a limit, which is below the time of a claim."""
    began = time.monotonic()
    with speaking(greets_slowly) as port, pytest.raises(SMTPServerDisconnected):
        SMTPTransport(f"smtp://{HOST}:{port}", whole=0.3).send(a_mail())
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_says_nothing(scheme: str) -> None:
    """A6: each step has its limit as well."""
    with speaking(lambda connection: connection.makefile("rb").read()) as port:
        with_limit = SMTPTransport(f"{scheme}://{HOST}:{port}", step=0.2)
        with pytest.raises(OSError, match="timed out"):
            with_limit.send(a_mail())


def test_the_setting_says_how_mails_leave(caplog: pytest.LogCaptureFixture) -> None:
    """C2: printed, they are in the log and can be read again, up to fifty of them."""
    sent = {"accounts.mail_from": "us@example.com", "accounts.url": "https://example.com"}
    settings = read_account_settings({"accounts.mail": "smtp://host", **sent}, {})
    assert isinstance(from_settings(settings), SMTPTransport)
    printing = from_settings(
        read_account_settings({"accounts.mail": "print", "accounts.show_mail": "true"}, {})
    )
    with caplog.at_level("INFO", "myapp.accounts.mail"):
        for number in range(60):
            printing.send(a_mail(text=f"Number {number}.\n"))
    assert "Number 0." in caplog.text
    texts = [mail.get_content() for mail in printing.printed]
    assert texts[0] == "Number 10.\n"
    assert len(texts) == 50
