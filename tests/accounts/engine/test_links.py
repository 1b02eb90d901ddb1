"""Links in mails: good once, for a while, and for the account as it was."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from myapp.accounts import links, outbox
from myapp.accounts.apart import committed
from myapp.accounts.links import ALARM, CONFIRM, RESET, digest_of
from myapp.accounts.models import Link, Message, User
from myapp.database import is_lost_race
from tests.accounts.engine.conftest import NOW, a_user

MINUTE = 60_000
KINDS = (RESET, ALARM)


@pytest.fixture
def digest(engine: Engine, ann: int) -> bytes:
    """That of a reset link of Ann's."""
    return made(engine, ann)


def made(engine: Engine, user_id: int, kind: str = RESET) -> bytes:
    with Session(engine) as dbsession, dbsession.begin():
        user = dbsession.get_one(User, user_id)
        token = links.make(dbsession, kind, email=user.email, now=NOW, user=user)
    digest = digest_of(token)
    assert digest is not None
    return digest


def is_good(engine: Engine, digest: bytes, kinds: tuple[str, ...] = KINDS, now: int = NOW) -> bool:
    with Session(engine) as dbsession:
        return links.find(dbsession, digest, kinds, now) is not None


def test_a_link_is_good_once(engine: Engine, ann: int, digest: bytes) -> None:
    """A5: looking at it changes nothing, using it up ends it, and what it was is handed out."""
    assert is_good(engine, digest)
    assert is_good(engine, digest)
    with Session(engine) as dbsession, dbsession.begin():
        link = links.use_up(dbsession, digest, KINDS, NOW)
    assert link is not None
    assert (link.user_id, link.email, link.kind) == (ann, "ann@example.com", RESET)
    assert not is_good(engine, digest)
    with Session(engine) as dbsession, dbsession.begin():
        assert links.use_up(dbsession, digest, KINDS, NOW) is None


def test_a_link_is_good_for_its_purpose_and_its_time(engine: Engine, ann: int) -> None:
    """A5: twenty minutes for a new password, a day for the others."""
    reset, alarm = made(engine, ann), made(engine, ann, ALARM)
    assert not is_good(engine, reset, (CONFIRM,))
    assert not is_good(engine, secrets.token_bytes(32))
    assert is_good(engine, reset, now=NOW + 20 * MINUTE - 1)
    assert not is_good(engine, reset, now=NOW + 20 * MINUTE)
    assert is_good(engine, alarm, now=NOW + 24 * 60 * MINUTE - 1)
    assert not is_good(engine, alarm, now=NOW + 24 * 60 * MINUTE)
    with Session(engine) as dbsession, dbsession.begin():
        assert links.use_up(dbsession, reset, KINDS, NOW + 20 * MINUTE) is None
        assert links.use_up(dbsession, reset, (CONFIRM,), NOW) is None


def test_a_link_is_still_good_after_a_rollback(engine: Engine, digest: bytes) -> None:
    """A5: it is used up in the request's transaction, with what it was used for."""
    with Session(engine) as dbsession:
        assert links.use_up(dbsession, digest, KINDS, NOW) is not None
        dbsession.rollback()
    assert is_good(engine, digest)


@pytest.mark.parametrize("isolation", [None, "SERIALIZABLE"])
def test_link_used_in_two_tabs_at_once(engine: Engine, digest: bytes, isolation: str) -> None:
    """A5: both have looked at it when one of them uses it up; the other gets nothing."""
    if isolation is not None:
        engine = engine.execution_options(isolation_level=isolation)
    barrier = threading.Barrier(2)

    def use_up(_: int) -> bool:
        with Session(engine) as dbsession:
            assert links.find(dbsession, digest, KINDS, NOW) is not None
            barrier.wait(timeout=20)
            try:
                used = links.use_up(dbsession, digest, KINDS, NOW)
                dbsession.commit()
            except DBAPIError as error:
                if error.orig is None or not is_lost_race(error.orig):
                    raise
                return False
            return used is not None

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use_up, range(2))) == [False, True]
    assert not is_good(engine, digest)


@pytest.mark.parametrize(
    "change",
    [
        {"generation": b"another".ljust(32)},
        {"email": "anna@example.com"},
        {"disabled_at": NOW},
        {"confirmed_at": None},
    ],
)
def test_link_alive_after_a_change_of_password(
    engine: Engine, ann: int, digest: bytes, change: dict[str, object]
) -> None:
    """A5: or of the address, or once the account is disabled; even if its row is still there, as
    that of a link that was being sent meanwhile.
    """
    with Session(engine) as dbsession, dbsession.begin():
        user = dbsession.get_one(User, ann)
        for name, value in change.items():
            setattr(user, name, value)
        assert links.find(dbsession, digest, KINDS, NOW) is None
    assert not is_good(engine, digest)
    with Session(engine) as dbsession, dbsession.begin():
        assert links.use_up(dbsession, digest, KINDS, NOW) is None
        assert dbsession.scalar(select(func.count()).select_from(Link)) == 1


def test_an_account_is_read_anew(engine: Engine, ann: int, digest: bytes) -> None:
    """A5: what this transaction saw of it before does not count."""
    with Session(committed(engine)) as dbsession:
        user = dbsession.get_one(User, ann)
        assert links.find(dbsession, digest, KINDS, NOW) is not None
        with Session(engine) as other, other.begin():
            other.get_one(User, ann).generation = bytes(32)
        assert links.find(dbsession, digest, KINDS, NOW) is None
        assert user.generation == bytes(32)


def test_void_ends_what_is_and_what_is_to_come(engine: Engine, ann: int, digest: bytes) -> None:
    """A5: links and queued messages that are nothing but one; nobody else's, and no news."""
    with Session(engine) as dbsession, dbsession.begin():
        bob = a_user("bob@example.com")
        dbsession.add(bob)
        dbsession.flush()
        for email in ("ann@example.com", "bob@example.com"):
            outbox.put(dbsession, "reset", email=email, now=NOW)
        outbox.put(dbsession, "unknown-sign-in", email="ann@example.com", now=NOW, user_id=ann)
        others = bob.id
    kept = made(engine, others)
    with Session(engine) as dbsession, dbsession.begin():
        links.void(dbsession, ann)
    with Session(engine) as dbsession:
        assert list(dbsession.scalars(select(Link.digest))) == [kept]
        messages = dbsession.execute(select(Message.kind, Message.email).order_by(Message.id))
        assert [tuple(row) for row in messages] == [
            ("reset", "bob@example.com"),
            ("unknown-sign-in", "ann@example.com"),
        ]
    assert digest != kept


@pytest.mark.parametrize(
    "token", ["", "a" * 42, "a" * 44, "a" * 42 + "\n", "ä" * 43, "a" * 42 + "+"]
)
def test_what_has_not_the_shape_of_a_token_is_none(token: str) -> None:
    """A5: nothing is asked of the database for it."""
    assert digest_of(token) is None
