"""A transaction that has read sees the past; a session saved within it belongs to the present.

Another request may save the session in between, or this one itself, in a lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pyramid.request import Request
from sqlalchemy import Engine, event, select, text

from harness.wire import counting, tapped
from tests.conftest import STRICT_MARIADB, database_of
from tests.outcomes.app import Note
from tests.outcomes.site import Answer, Site, attempt_of, opened
from tests.sessions.app import Clock

PLACES = {
    "sqlite": ("sqlite", None),
    "sqlite-begin": ("sqlite", "BEGIN"),
    "postgresql-repeatable": ("postgresql", "REPEATABLE READ"),
    "postgresql-serializable": ("postgresql", "SERIALIZABLE"),
    "mariadb-repeatable": ("mariadb", "REPEATABLE READ"),
    "mariadb-serializable": ("mariadb", "SERIALIZABLE"),
    "mariadb-strict-repeatable": (STRICT_MARIADB, "REPEATABLE READ"),
    "mariadb-strict-serializable": (STRICT_MARIADB, "SERIALIZABLE"),
}
Change = Callable[[Any], Any]

CHANGES: dict[str, Change] = {
    "change": lambda session: session.update(mine=1),
    "renew": lambda session: session.renew(),
    "sign_in": lambda session: session.sign_in("ann"),
    "sign_out": lambda session: session.sign_out(),
}
OTHERS: dict[str, Change] = {
    "saves": lambda session: session.update(theirs=1),
    "touches": lambda session: len(session),
}


@contextmanager
def site_at(place: str, request: pytest.FixtureRequest, folder: Any) -> Iterator[Site]:
    """A site on a database whose transactions see what was there at their first statement."""
    kind, level = PLACES[place]
    if kind == "sqlite":
        with opened(f"sqlite:///{folder / 'test.sqlite'}") as site:
            if level is not None:
                _begin_as_documented(site.engine)
            yield site
        return
    with database_of(kind, request) as url, opened(url, engine={"isolation_level": level}) as site:
        yield site


def _begin_as_documented(engine: Engine) -> None:
    """SQLAlchemy's recipe for SQLite: a transaction begins with the first statement, a SELECT even.

    By itself the driver begins one at the first write.
    """

    def leave_it_to_us(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None

    event.listen(engine, "connect", leave_it_to_us)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))


@pytest.fixture(params=PLACES)
def site(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Site]:
    with site_at(request.param, request, tmp_path) as made:
        made.manager.kind.clock = Clock()
        made.add_note(1)
        yield made


def meanwhile(site: Site, token: str, other: Change, mine: Change, *, loaded_first: bool) -> Answer:
    """A request whose dbsession has read before another one does something to the session."""

    def view(request: Request) -> None:
        if loaded_first:
            len(request.session)
        assert request.dbsession.scalars(select(Note.id)).all() == [1]
        if attempt_of(request) == 0:
            with site.manager.session(token) as session:
                other(session)
        mine(request.session)

    clock = site.manager.kind.clock
    assert isinstance(clock, Clock)
    clock.forward(120)  # so that a touch is due
    return site.call(view, token)


@pytest.mark.parametrize("action", CHANGES)
def test_neither_change_is_lost_behind_an_old_snapshot(site: Site, action: str) -> None:
    """S4, S6, S11: saved apart, or a lost race that the next attempt wins; never an error."""
    failed = []
    for name, other in OTHERS.items():
        for loaded_first in (True, False):
            site.events.clear()
            token = site.start("ann" if action == "sign_out" else None)
            answer = meanwhile(site, token, other, CHANGES[action], loaded_first=loaded_first)
            if answer.status != 200 or not is_done(site, action, name, token, answer):
                when = "loaded before" if loaded_first else "loaded after"
                failed.append((name, when, answer.status, answer.attempts))
            site.assert_free(token)
    assert failed == []


def is_done(site: Site, action: str, other: str, token: str, answer: Answer) -> bool:
    """Whether both changes are in the database, and nothing is there twice."""
    if action == "sign_out":
        gone = site.stored(token) is None and site.manager.of_user("ann") == []
        return gone and site.kinds().count("SessionEnded signed_out") == 1
    if action != "change" and site.stored(token) is not None:
        return False
    stored = site.stored(answer.token(token))
    if stored is None or ("theirs" in stored) is not (other == "saves"):
        return False
    if action == "change":
        return "mine" in stored
    return stored.user_id == ("ann" if action == "sign_in" else None)


@pytest.mark.parametrize("other", ["renew", "sign_in"])
def test_signing_out_ends_what_another_request_made_of_the_session(site: Site, other: str) -> None:
    """S6, R2: though this transaction can't see it, and its next attempt knows the old token."""
    token = site.start("ann")
    again: Change = CHANGES[other]
    answer = meanwhile(site, token, again, CHANGES["sign_out"], loaded_first=True)
    assert answer.status == 200
    assert site.stored(token) is None
    assert site.manager.of_user("ann") == []


def test_a_request_is_not_in_its_own_way(site: Site) -> None:
    """S13: a lock saves at once; what is changed after it is saved as well, whatever was read."""

    def view(request: Request) -> None:
        assert request.dbsession.scalars(select(Note.id)).all() == [1]
        with request.session.lock() as session:
            session["locked"] = attempt_of(request)
        request.session["later"] = 1

    token = site.start()
    assert site.call(view, token).status == 200
    stored = site.stored(token)
    assert stored is not None
    assert stored["locked"] >= 0
    assert stored["later"] == 1


@pytest.mark.parametrize("end", ["renew", "sign_out"])
def test_a_lock_comes_before_an_ending_too(site: Site, end: str) -> None:
    """S13, R1, R2: renewed or signed out after the lock, behind the same old snapshot."""

    def view(request: Request) -> None:
        assert request.dbsession.scalars(select(Note.id)).all() == [1]
        with request.session.lock() as session:
            session["locked"] = 1
        CHANGES[end](request.session)

    token = site.start("ann")
    answer = site.call(view, token)
    assert answer.status == 200
    assert site.stored(token) is None
    if end == "renew":
        stored = site.stored(answer.token())
        assert stored is not None
        assert stored["locked"] == 1
    assert len(site.manager.of_user("ann")) == (1 if end == "renew" else 0)


@pytest.mark.parametrize("place", ["postgresql-repeatable", "mariadb-strict-repeatable"])
def test_an_application_that_wrote_before_loses_nothing_either(
    place: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    """S6, S11: its data are there once, with the session's change and the other request's."""
    with site_at(place, request, tmp_path) as site:

        def view(request: Request) -> None:
            assert request.dbsession.scalars(select(Note.id)).all() == []
            request.dbsession.add(Note(id=100 + attempt_of(request)))
            request.dbsession.flush()
            if attempt_of(request) == 0:
                with site.manager.session(token) as session:
                    session["theirs"] = 1
            request.session["mine"] = 1

        token = site.start()
        assert site.call(view, token).status == 200
        assert site.stored(token) == {"before": 1, "theirs": 1, "mine": 1}
        assert [site.has_note(note) for note in (100, 101)].count(True) == 1


def test_a_strict_connection_is_asked_once_and_stays_strict(
    request: pytest.FixtureRequest,
) -> None:
    """S6, P1: what MariaDB lets the session's statements do it lets no other statement do."""

    def view(request: Request) -> None:
        strict.append(request.dbsession.scalar(text("SELECT @@innodb_snapshot_isolation")))
        request.session["count"] = len(strict)

    strict: list[int] = []
    questions: list[int] = []
    with database_of(STRICT_MARIADB, request) as url, tapped(url) as tap, opened(tap.url) as site:
        token = site.start()
        for _ in range(3):
            with counting(tap) as wire:
                assert site.call(view, token).status == 200
            questions.append(wire.verbs.count("SHOW"))
            assert "UPDATE" in wire.verbs
    assert strict == [1, 1, 1]
    assert questions[1:] == [0, 0]
    assert questions[0] >= 1
