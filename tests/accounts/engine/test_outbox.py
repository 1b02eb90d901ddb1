"""The outbox: who gets which mail, once, whatever happens on the way."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any, Final

import pytest
from sqlalchemy import Engine, MetaData, event, select, update
from sqlalchemy.orm import Session

from harness.processes import ROOT, clean_environment
from harness.waiting import wait_until
from myapp.accounts import links, outbox
from myapp.accounts.links import digest_of
from myapp.accounts.mail import PrintTransport
from myapp.accounts.mailer import Mailer
from myapp.accounts.models import Link, Message, SignUp, User
from myapp.accounts.outbox import GIVEN_UP_AFTER, LEASE, PAUSES, Sender
from myapp.accounts.settings import read_account_settings
from myapp.accounts.smtp import MailRefused, SMTPTransport
from tests.accounts.engine.conftest import NOW, a_user
from tests.accounts.engine.test_smtp import HOST, Mailbox, dies_within_a_message, serving, speaking

DETAILS: Final[dict[str, Any]] = {
    "browser": "Firefox on Linux",
    "address": "192.0.2.1",
    "role": "administrator",
}
LINK: Final = re.compile(r"https://example\.com/(\w+)/(\S+)")


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


class FailingTransport(PrintTransport):
    """Does what `fail` does before it prints a mail."""

    def __init__(self, fail: Callable[[EmailMessage], None] = lambda mail: None) -> None:
        super().__init__()
        self.fail = fail

    def send(self, mail: EmailMessage) -> None:
        self.fail(mail)
        super().send(mail)


class Post:
    """An outbox, its sender and a clock."""

    def __init__(self, engine: Engine, transport: Any = None) -> None:
        given = {
            "accounts.mail": "smtp://localhost",
            "accounts.url": "https://example.com",
            "accounts.mail_from": "us@example.com",
        }
        self.engine, self.clock = engine, Clock()
        self.settings = read_account_settings(given, {})
        self.transport = transport or FailingTransport()
        self.sender = self.another(self.transport)

    def another(self, transport: Any) -> Sender:
        """A sender as another process has it."""
        return Sender(self.engine, self.settings, transport, url_of, self.clock)

    def put(self, kind: str, email: str = "ann@example.com", **about: Any) -> None:
        with Session(self.engine) as dbsession, dbsession.begin():
            outbox.put(dbsession, kind, email=email, now=self.clock(), **DETAILS | about)

    @property
    def mails(self) -> Sequence[EmailMessage]:
        sent: Sequence[EmailMessage] = self.transport.printed
        return sent

    @property
    def waiting(self) -> list[Any]:
        """When the messages in the outbox are due, and how often they were tried."""
        with self.engine.connect() as connection:
            return [tuple(r) for r in connection.execute(select(Message.due_at, Message.attempts))]


def url_of(kind: str, token: str, site: str) -> str:
    return f"{site}/{kind}/{token}"


@pytest.fixture
def post(engine: Engine, ann: int) -> Post:
    return Post(engine)


def link_in(mail: EmailMessage) -> tuple[str, str]:
    """The kind of the link and its token."""
    (found,) = LINK.findall(mail.get_content())
    kind, token = found
    return kind, token


def is_good(post: Post, mail: EmailMessage) -> bool:
    kind, token = link_in(mail)
    with Session(post.engine) as dbsession:
        digest = digest_of(token)
        return digest is not None and bool(links.find(dbsession, digest, (kind,), post.clock()))


# Who gets what


@pytest.mark.parametrize(
    ("kind", "subject", "link"),
    [
        ("reset", "Choose a new password", "reset"),
        ("invite", "Your new account", "alarm"),
        ("sign-up", "You already have an account", None),
        ("password-changed", "Your password was changed", None),
        ("unknown-sign-in", "A sign-in from a new browser", "alarm"),
        ("disabled", "Your account was disabled", None),
        ("enabled", "Your account was enabled", None),
        ("role-changed", "Your role was changed", None),
    ],
)
def test_an_owner_is_told(post: Post, kind: str, subject: str, link: str | None) -> None:
    """A5, A6, A15: and a link is good as soon as the mail is sent."""
    post.put(kind)
    assert post.sender.send_due() == 1
    (mail,) = post.mails
    assert (mail["To"], mail["Subject"]) == ("ann@example.com", subject)
    assert post.waiting == []
    if link is None:
        assert not LINK.search(mail.get_content())
    else:
        assert link_in(mail)[0] == link
        assert is_good(post, mail)


def test_a_new_address_gets_a_link_for_its_sign_up(post: Post) -> None:
    """A3: it is confirmed by a link that knows which sign-up it belongs to."""
    with Session(post.engine) as dbsession, dbsession.begin():
        wish = SignUp(email="bob@example.com", password_hash="x", created_at=NOW)
        dbsession.add(wish)
        dbsession.flush()
        number = wish.id
    post.put("sign-up", "bob@example.com", signup_id=number)
    post.sender.send_due()
    (mail,) = post.mails
    assert link_in(mail)[0] == "confirm"
    assert is_good(post, mail)
    with Session(post.engine) as dbsession:
        link = dbsession.scalars(select(Link)).one()
        assert (link.signup_id, link.user_id, link.email) == (number, None, "bob@example.com")


@pytest.mark.parametrize("state", ["unknown", "disabled", "unconfirmed"])
def test_nobody_without_an_account_gets_a_link(post: Post, state: str) -> None:
    """A3: nothing is sent, and the message is gone."""
    if state != "unknown":
        column = "disabled_at" if state == "disabled" else "confirmed_at"
        with post.engine.begin() as connection:
            value = NOW if state == "disabled" else None
            connection.execute(update(User).values({column: value}))
    post.put("reset", "nobody@example.com" if state == "unknown" else "ann@example.com")
    assert post.sender.send_due() == 1
    assert post.mails == ()
    assert post.waiting == []


def test_a_former_address_gets_no_link(post: Post, ann: int) -> None:
    """A15: it is told of the sign-in, and can't take the account."""
    post.put("unknown-sign-in", "anna@example.com", user_id=ann)
    post.sender.send_due()
    (mail,) = post.mails
    assert "Forgotten your password?" in mail.get_content()
    assert not LINK.search(mail.get_content())


def test_an_address_that_is_somebody_elses_by_now_gets_no_link(post: Post, ann: int) -> None:
    """A5: the message is about an account that had this address once."""
    with Session(post.engine) as dbsession, dbsession.begin():
        dbsession.get_one(User, ann).email = "anna@example.com"
        dbsession.flush()
        dbsession.add(a_user("ann@example.com"))
    post.put("invite", user_id=ann)
    assert post.sender.send_due() == 1
    assert post.mails == ()


def test_what_came_from_outside_stays_in_its_line(post: Post, ann: int) -> None:
    """A6: whoever queued it, and however."""
    post.put("unknown-sign-in", user_id=ann, browser="Fire\r\n\r\nhttps://evil.example/\ud800")
    post.sender.send_due()
    (line,) = [line for line in post.mails[0].get_content().splitlines() if "evil.example" in line]
    assert line.startswith("Where: Fire ")


def test_a_sign_in_is_told_with_where_and_when(post: Post, ann: int) -> None:
    """A15: the browser in words, the address and the moment."""
    post.put("unknown-sign-in", user_id=ann)
    post.clock.now += PAUSES[0]
    post.sender.send_due()
    text = post.mails[0].get_content()
    assert "When: 21 September 2026, 14:13 UTC" in text
    assert "Where: Firefox on Linux (address 192.0.2.1)" in text


# No token


def test_outbox_read_by_a_thief(post: Post, ann: int) -> None:
    """A6: no table holds a token, before or after the mail is sent."""
    post.put("reset")
    post.put("unknown-sign-in", user_id=ann)
    before = dump(post.engine)
    post.sender.send_due()
    tokens = [link_in(mail)[1] for mail in post.mails]
    assert len(tokens) == 2
    for token in tokens:
        raw = base64.urlsafe_b64decode(token + "=")
        for text in (before, dump(post.engine)):
            assert token not in text
            assert raw.hex() not in text
            assert repr(raw)[2:-1] not in text


def dump(engine: Engine) -> str:
    """All that is in the database."""
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        rows = [
            row for table in metadata.tables.values() for row in connection.execute(table.select())
        ]
    assert rows
    return "\n".join(
        f"{value!r} {value.hex() if isinstance(value, bytes) else ''}"
        for row in rows
        for value in row
    )


# Once


def test_two_processes_send_each_mail_once(post: Post) -> None:
    """A6: both see what is due at the same moment."""
    for _ in range(10):
        post.put("password-changed")
    barrier = threading.Barrier(2)
    sent: list[str] = []

    def send(_: int) -> None:
        sender = post.another(FailingTransport(lambda mail: sent.append(mail["Message-ID"])))
        barrier.wait(timeout=20)
        while sender.send_due():
            pass

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, range(2)))
    assert len(sent) == len(set(sent)) == 10
    assert post.waiting == []


DYING: Final = """
import os, sys
from myapp.database import create_database_engine
from tests.accounts.engine.test_outbox import FailingTransport, Post
dying = FailingTransport(lambda mail: os._exit(9))
Post(create_database_engine(sys.argv[1]), dying).sender.send_due()
"""


def test_a_process_killed_between_claim_and_commit(post: Post, database_url: str) -> None:
    """A6: nobody sends its message until the claim is over; then it goes as the same mail."""
    post.put("reset")
    post.put("password-changed")
    command = [sys.executable, "-c", DYING, database_url]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), timeout=60, check=False)
    assert done.returncode == 9
    assert sorted(post.waiting) == [(NOW, 0), (NOW + LEASE, 1)]
    post.clock.now = NOW + LEASE - 1
    assert post.sender.send_due() == 1
    post.clock.now = NOW + LEASE
    assert post.sender.send_due() == 1
    assert [mail["Subject"][:6] for mail in post.mails] == ["Your p", "Choose"]
    assert is_good(post, post.mails[1])


def test_a_mail_sent_twice_is_the_same_mail(post: Post) -> None:
    """A6: the mail server's answer was lost; whoever gets both sees one Message-ID."""
    sent: list[EmailMessage] = []

    def lose_the_answer(mail: EmailMessage) -> None:
        sent.append(mail)
        if len(sent) == 1:
            raise OSError

    post.transport.fail = lose_the_answer
    post.put("reset")
    assert post.sender.send_due() == 1
    assert post.sender.send_due() == 0
    post.clock.now += PAUSES[0]
    assert post.sender.send_due() == 1
    first, second = sent
    assert first["Message-ID"] == second["Message-ID"]
    # The first may have arrived as well.
    assert is_good(post, first)
    assert is_good(post, second)


def test_a_database_that_is_gone_after_the_sending(post: Post) -> None:
    """A6: the process that has sent the mail does not send it again."""
    post.put("password-changed")
    failures = [ConnectionError("gone")]

    @event.listens_for(post.engine, "before_cursor_execute")
    def fail(*words: Any) -> None:
        if words[2].startswith("DELETE") and failures:
            raise failures.pop()

    with pytest.raises(ConnectionError):
        post.sender.send_due()
    post.clock.now += LEASE
    assert post.sender.send_due() == 1
    assert len(post.mails) == 1
    assert post.waiting == []


# Trouble


def test_the_pauses_grow(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    """A6: and after three days somebody reads in the log that a mail was given up."""

    def fail(mail: EmailMessage) -> None:
        raise OSError(f"{mail['To']}: no, {mail.get_content()}")

    post.transport.fail = fail
    post.put("reset")
    pauses = []
    while post.waiting:
        assert post.sender.send_due() == 1
        if post.waiting:
            ((due_at, _),) = post.waiting
            pauses.append(due_at - post.clock.now)
            post.clock.now = due_at
    assert pauses[:6] == [*PAUSES, PAUSES[-1]]
    assert set(pauses[5:]) == {PAUSES[-1]}
    assert 0 <= post.clock.now - NOW - GIVEN_UP_AFTER < PAUSES[-1]
    assert caplog.records[-1].levelname == "ERROR"
    assert "given up after 3 days" in caplog.messages[-1]
    assert "(reset) to a…@example.com" in caplog.text
    assert "ann@" not in caplog.text
    assert "https:" not in caplog.text


def test_a_refusal_for_good_is_no_reason_to_wait(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    """A6: given up at once, with an error in the log."""

    def refuse(mail: EmailMessage) -> None:
        raise MailRefused("the server answered 550")

    post.transport.fail = refuse
    post.put("reset")
    assert post.sender.send_due() == 1
    assert post.waiting == []
    assert [r.levelname for r in caplog.records] == ["ERROR"]
    assert "550" in caplog.text
    assert "ann@" not in caplog.text


def test_one_mail_in_trouble_holds_up_no_other(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    """A6: be it a fault of ours, which is in the log with its place."""
    post.put("no such kind")
    post.put("password-changed")
    assert post.sender.send_due() == 2
    assert len(post.mails) == 1
    assert post.waiting == [(NOW + PAUSES[0], 1)]
    assert "KeyError" in caplog.text


def test_a_mail_server_killed_in_the_middle(post: Post) -> None:
    """A6: the mail goes to the next one, whole, and once."""
    post.put("reset")
    with speaking(dies_within_a_message) as port:
        assert post.another(SMTPTransport(f"smtp://{HOST}:{port}")).send_due() == 1
    assert post.waiting == [(NOW + PAUSES[0], 1)]
    post.clock.now += PAUSES[0]
    box = Mailbox()
    with serving(box) as port:
        assert post.another(SMTPTransport(f"smtp://{HOST}:{port}")).send_due() == 1
    assert len(box.mails) == 1
    assert is_good(post, box.mails[0])
    assert post.waiting == []


def test_a_message_made_void_is_not_sent(post: Post, ann: int) -> None:
    """A5: the password was changed after somebody had asked for a link."""
    post.put("reset")
    with Session(post.engine) as dbsession, dbsession.begin():
        links.void(dbsession, ann)
    assert post.sender.send_due() == 0
    assert post.mails == ()


def test_with_mail_off_nothing_is_sent(post: Post) -> None:
    """A6: what was queued before waits."""
    post.put("reset")
    off = read_account_settings({"accounts.mail": "off"}, {})
    assert Sender(post.engine, off, PrintTransport(), url_of, post.clock).send_due() == 0
    assert post.waiting == [(NOW, 0)]


# The thread


def test_the_thread_sends_what_was_just_committed(post: Post) -> None:
    """A6: when it is woken, and by itself what another process has put there."""
    mailer = Mailer(post.sender, poll=3600)
    mailer.ensure_running()
    mailer.ensure_running()
    try:
        post.put("reset")
        mailer.wake()
        wait_until(lambda: len(post.mails) == 1, "the mail")
        wait_until(lambda: post.waiting == [], "the end of its message")
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("session-mailer") == 1
    finally:
        mailer.stop()
    wait_until(lambda: "session-mailer" not in [t.name for t in threading.enumerate()], "its end")


def test_the_thread_survives_trouble(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    """A6: a database without the tables, then one that has them; the log is told once."""
    metadata = MetaData()
    metadata.reflect(post.engine)
    metadata.tables["account_messages"].drop(post.engine)
    mailer = Mailer(post.sender, poll=0.01)
    looks = count(post)
    mailer.ensure_running()
    try:
        wait_until(lambda: len(looks) > 5, "some looks")
        metadata.tables["account_messages"].create(post.engine)
        post.put("reset")
        wait_until(lambda: len(post.mails) == 1, "the mail")
    finally:
        mailer.stop()
    assert len([r for r in caplog.records if "mails have to wait" in r.getMessage()]) == 1


def count(post: Post) -> list[int]:
    """A number more each time that the clock is asked, which each look does."""
    looks: list[int] = []

    def clock() -> int:
        looks.append(1)
        return post.clock.now

    post.sender.clock = clock
    return looks
