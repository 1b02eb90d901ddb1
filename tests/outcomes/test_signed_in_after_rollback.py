"""Whether a sign-in outlives the rollback of its request: only if nothing was rolled back.

A sign-up inserts its user and signs in. If the insert is undone and the sign-in is not, somebody
who does not exist is signed in.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import Table, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from tests.outcomes.app import FailingAtCommit, Note
from tests.outcomes.site import Answer, Resource, Site, opened

NOTE = 100
NOTES: Table = Note.__table__  # type: ignore[assignment]  # a Table, as all models have

Write = Callable[[Request], object]


def _add_and_flush(request: Request) -> None:
    request.dbsession.add(Note(id=NOTE))
    request.dbsession.flush()


def _through_another_session(request: Request) -> None:
    # Of an application with several: it is not request.dbsession that wrote.
    other = request.environ["test.site"].new_dbsession(request)
    other.execute(insert(NOTES).values(id=NOTE))
    request.environ["test.keep"] = other


WRITES: dict[str, Write] = {
    "flush": _add_and_flush,
    "pending": lambda request: request.dbsession.add(Note(id=NOTE)),
    "orm_insert": lambda request: request.dbsession.execute(insert(Note).values(id=NOTE)),
    "core_insert": lambda request: request.dbsession.execute(insert(NOTES).values(id=NOTE)),
    "core_update": lambda request: request.dbsession.execute(
        update(NOTES).where(NOTES.c.id == 1).values(id=NOTE)
    ),
    "text": lambda request: request.dbsession.execute(text(f"INSERT INTO notes VALUES ({NOTE})")),
    "comment": lambda request: request.dbsession.execute(
        text(f"/* SELECT */ INSERT INTO notes VALUES ({NOTE})")
    ),
    "bulk": lambda request: request.dbsession.bulk_insert_mappings(Note, [{"id": NOTE}]),
    "driver_sql": lambda request: request.dbsession.connection().exec_driver_sql(
        f"insert into notes values ({NOTE})"
    ),
    "another": _through_another_session,
    "resource": lambda request: request.tm.get().join(Resource()),
}
BY_FUNCTION: dict[str, tuple[str, dict[str, Write]]] = {
    "postgresql": (
        "CREATE FUNCTION make_note(note integer) RETURNS integer LANGUAGE sql AS"
        " $$ INSERT INTO notes VALUES (note) RETURNING id $$",
        {
            "select": lambda request: request.dbsession.execute(text(f"SELECT make_note({NOTE})")),
            "func": lambda request: request.dbsession.scalar(select(func.make_note(NOTE))),
            "with": lambda request: request.dbsession.execute(
                text(
                    f"WITH made AS (INSERT INTO notes VALUES ({NOTE}) RETURNING id)"
                    " SELECT id FROM made"
                )
            ),
        },
    ),
    "mariadb": (
        "CREATE FUNCTION make_note(note INT) RETURNS INT MODIFIES SQL DATA"
        " BEGIN INSERT INTO notes VALUES (note); RETURN note; END",
        {
            "select": lambda request: request.dbsession.execute(text(f"SELECT make_note({NOTE})")),
            "func": lambda request: request.dbsession.scalar(select(func.make_note(NOTE))),
        },
    ),
}


def sign_up(write: Write, site: Site, finish: Callable[[Request], Response]) -> Answer:
    """A request that writes, signs in and ends as it is told; its session is one of before."""
    token = site.start()

    def view(request: Request) -> Response:
        request.environ["test.site"] = site
        write(request)
        request.session.sign_in("ann")
        return finish(request)

    answer = site.call(view, token)
    assert not site.has_note(NOTE)
    stored = site.stored(token)
    if answer.cookies:
        assert stored is None
    else:
        assert stored is not None
        assert stored.user_id is None
        assert stored == {"before": 1}
    return answer


def redirect(request: Request) -> Response:
    raise HTTPFound("/")


def refuse(request: Request) -> Response:
    request.tm.get().join(FailingAtCommit(IntegrityError("INSERT", None, Exception("taken"))))
    return Response("never seen")


def answer_taken(config: Configurator) -> None:
    config.add_exception_view(
        lambda error, request: Response("taken", status=409), context=IntegrityError
    )


@pytest.mark.parametrize("write", WRITES)
def test_a_sign_in_is_dropped_with_what_was_rolled_back(database_url: str, write: str) -> None:
    """S6: by whatever means it was written; the old session stays, and an event tells."""
    with opened(database_url, configure=answer_taken) as site:
        site.add_note(1)
        for finish, status in ((redirect, 302), (refuse, 409)):
            site.events.clear()
            answer = sign_up(WRITES[write], site, finish)
            assert_dropped(site, answer, status)


@pytest.mark.parametrize("kind", BY_FUNCTION)
def test_what_a_function_of_the_database_wrote_counts(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """S6: it looks like a SELECT, and is none."""
    definition, writes = BY_FUNCTION[kind]
    with request.getfixturevalue(kind).database() as url, opened(url) as site:
        with site.engine.begin() as connection:
            connection.exec_driver_sql(definition)
        failed = []
        for name, write in writes.items():
            site.events.clear()
            answer = sign_up(write, site, redirect)
            failed += [name] if answer.cookies or "ChangeDropped" not in site.kinds() else []
        assert failed == []


def test_a_commit_that_fails_after_such_a_write_drops_it_too(database_url: str) -> None:
    """S6: in a flush of other data, which the database refuses."""
    with opened(database_url, configure=answer_taken) as site:
        site.add_note(1)

        def finish(request: Request) -> Response:
            request.dbsession.add(Note(id=1))
            return Response("never seen")

        for write in ("text", "driver_sql", "resource"):
            site.events.clear()
            assert_dropped(site, sign_up(WRITES[write], site, finish), 409)


@pytest.mark.parametrize("initial_state", ["active", "changed"])
def test_a_sign_in_is_kept_where_nothing_was_rolled_back(
    database_url: str, initial_state: str
) -> None:
    """S6: whatever zope.sqlalchemy takes a dbsession for that only read."""
    reads: dict[str, Write] = {
        "orm": lambda request: request.dbsession.scalars(select(Note)).all(),
        "core": lambda request: request.dbsession.execute(select(NOTES.c.id)).all(),
        "get": lambda request: request.dbsession.get(Note, 1),
        "nothing": lambda request: None,
    }
    with opened(database_url, initial_state=initial_state, configure=answer_taken) as site:
        site.add_note(1)
        failed = []
        for name, read in reads.items():
            answer = sign_up(read, site, redirect)
            assert answer.status == 302
            stored = site.stored(answer.token()) if answer.cookies else None
            failed += [name] if stored is None or stored.user_id != "ann" else []
        assert failed == []


def assert_dropped(site: Site, answer: Answer, status: int) -> None:
    assert answer.status == status
    assert answer.cookies == []
    assert site.kinds().count("ChangeDropped") == 1
    assert site.manager.of_user("ann") == []
