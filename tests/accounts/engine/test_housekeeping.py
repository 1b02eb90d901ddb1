"""What accounts no longer need goes, and nothing else."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import DeclarativeBase, Session

from harness.waiting import wait_until
from myapp.accounts import links, outbox
from myapp.accounts.housekeeping import (
    BATCH,
    KEPT_BROWSER,
    KEPT_MESSAGE,
    KEPT_SIGN_UP,
    KEPT_THROTTLE,
    tidy,
)
from myapp.accounts.mail import PrintTransport
from myapp.accounts.mailer import TIDY_EVERY, Mailer
from myapp.accounts.models import Browser, Event, Link, Message, SignUp, Throttle
from myapp.accounts.outbox import Sender
from myapp.accounts.settings import read_account_settings
from tests.accounts.engine.conftest import NOW

HISTORY = 90 * 24 * 3_600_000


def add(engine: Engine, *rows: DeclarativeBase) -> None:
    with Session(engine) as dbsession, dbsession.begin():
        dbsession.add_all(rows)


def count(engine: Engine, kind: type[Any]) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(kind)) or 0


def test_what_is_old_goes_and_nothing_else(engine: Engine, ann: int) -> None:
    """A11, A15: of each kind one row is just old enough, and one is not yet."""
    for number, age in enumerate((0, 1)):
        digest = bytes([number]) * 32
        add(
            engine,
            Link(digest=digest, kind="reset", email="a@b.c", expires_at=NOW + age),
            SignUp(email="a@b.c", password_hash="x", created_at=NOW - KEPT_SIGN_UP + age),
            Throttle(digest=digest, free_at=NOW - KEPT_THROTTLE + age),
            Browser(user_id=ann, digest=digest, seen_at=NOW - KEPT_BROWSER + age),
            Event(user_id=ann, happened_at=NOW - HISTORY + age, kind="signed-up"),
        )
        with Session(engine) as dbsession, dbsession.begin():
            outbox.put(dbsession, "reset", email="a@b.c", now=NOW - KEPT_MESSAGE + age)
    kinds = (Link, SignUp, Throttle, Browser, Event, Message)
    assert tidy(engine, NOW, HISTORY) == len(kinds)
    assert [count(engine, kind) for kind in kinds] == [1] * len(kinds)
    assert tidy(engine, NOW, HISTORY) == 0


def test_a_sign_up_waits_for_its_link(engine: Engine) -> None:
    """A5: be it one that is still to be sent, after a day without a mail server."""
    with Session(engine) as dbsession, dbsession.begin():
        wishes = [SignUp(email="a@b.c", password_hash="x", created_at=0) for _ in range(3)]
        dbsession.add_all(wishes)
        dbsession.flush()
        links.make(dbsession, links.CONFIRM, email="a@b.c", now=NOW, signup_id=wishes[0].id)
        outbox.put(dbsession, "sign-up", email="a@b.c", now=NOW, signup_id=wishes[1].id)
    assert tidy(engine, NOW, HISTORY) == 1
    assert count(engine, SignUp) == 2
    assert tidy(engine, NOW + links.LASTS[links.CONFIRM] + KEPT_MESSAGE, HISTORY) == 4


def test_any_number_of_rows_goes_a_batch_at_a_time(engine: Engine) -> None:
    """W1: no transaction is long."""
    rows = 2 * BATCH + 1
    add(engine, *(Throttle(digest=n.to_bytes(32, "big"), free_at=n) for n in range(rows)))
    assert tidy(engine, NOW, HISTORY) == rows
    assert count(engine, Throttle) == 0


def test_the_mailer_tidies_up_once_an_hour(engine: Engine) -> None:
    """A11: and at the start; a clock that steps back does not end it."""
    settings = read_account_settings({"accounts.mail": "print", "accounts.show_mail": "true"}, {})
    now = [NOW]
    sender = Sender(engine, settings, PrintTransport(), lambda *words: "", lambda: now[0])
    mailer = Mailer(sender, poll=0.01)
    mailer.ensure_running()
    try:
        for moment in (NOW, NOW + TIDY_EVERY, NOW - 2 * TIDY_EVERY):
            add(engine, Throttle(digest=b"x" * 32, free_at=0))
            now[0] = moment
            wait_until(lambda: count(engine, Throttle) == 0, "the hour's work")
    finally:
        mailer.stop()
