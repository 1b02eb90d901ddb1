"""An error at the commit is the application's own, or says why the session was not saved.

Either way it arrives where it would arrive in the same application without sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from pyramid.request import Request
from pyramid_retry import IRetryableError
from sqlalchemy.exc import IntegrityError, OperationalError

from myapp.database import create_database_engine
from myapp.sessions import NotStorable, SessionTooLarge
from tests.outcomes.app import Base, LostRace, Note
from tests.outcomes.site import Answer, Site, View, attempt_of, failing, opened, our_errors

TAKEN, DEADLOCK, LATE = 1, 2, 3
"""Notes that the database refuses: at once as there already, or by a trigger."""

_TRIGGERS = {
    "postgresql": [
        "CREATE FUNCTION refuse_note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = TG_ARGV[0]; END $$",
        f"CREATE TRIGGER deadlock BEFORE INSERT ON notes FOR EACH ROW WHEN (NEW.id = {DEADLOCK})"
        " EXECUTE FUNCTION refuse_note('40P01')",
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED"
        f" FOR EACH ROW WHEN (NEW.id = {LATE}) EXECUTE FUNCTION refuse_note('40001')",
    ],
    "mariadb": [
        f"CREATE TRIGGER deadlock BEFORE INSERT ON notes FOR EACH ROW IF NEW.id = {DEADLOCK}"
        " THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock'; END IF"
    ],
    "sqlite": [],
}
USES: dict[str, Callable[[Request], Any]] = {
    "without": lambda request: None,
    "reads": lambda request: request.session.get("before"),
    "changes": lambda request: request.session.update(after=1),
}


def prepare(url: str) -> None:
    """Let the database refuse some notes."""
    engine = create_database_engine(url)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for statement in _TRIGGERS[engine.dialect.name]:
            connection.exec_driver_sql(statement)
    engine.dispose()


def told(site: Site, answer: Answer) -> tuple[Any, ...]:
    """All that the application, its user and its server learn of a request."""
    errors = [*site.errors, *([answer.error] if answer.error is not None else [])]
    return answer.status, answer.attempts, [type(error) for error in errors]


def compared(url: str, fail: Callable[[Request, str], Any], **options: Any) -> tuple[Any, ...]:
    """What is told without sessions, which must be the same for a request with a session."""
    results = {}
    for use, look in USES.items():

        def view(request: Request, use: str = use, look: View = look) -> None:
            look(request)
            fail(request, use)

        with opened(url, sessions=use != "without", **options) as site:
            token = site.start() if site.sessions else None
            answer = site.call(view, token)
            results[use] = told(site, answer)
            site.assert_free(token)
            if token is not None:
                stored = site.stored(token)
                assert stored is not None
                assert ("after" in stored) is (use == "changes" and answer.status == 200)
    assert results["reads"] == results["without"]
    assert results["changes"] == results["without"]
    return results["without"]


@pytest.mark.parametrize("catch_all", [False, True])
def test_a_duplicate_that_is_flushed_at_the_commit_arrives_as_itself(
    database_url: str, catch_all: bool
) -> None:
    """S6: at the server, or at the exception view, whatever the request did with its session."""
    with opened(database_url, sessions=False) as site:
        site.add_note(TAKEN)
    learnt = compared(
        database_url,
        lambda request, use: request.dbsession.add(Note(id=TAKEN)),
        catch_all=catch_all,
    )
    assert learnt == (500 if catch_all else None, 1, [IntegrityError])


@pytest.mark.parametrize("catch_all", [False, True])
@pytest.mark.parametrize(
    ("kind", "note"),
    # MariaDB puts nothing off until COMMIT.
    [("postgresql", DEADLOCK), ("postgresql", LATE), ("mariadb", DEADLOCK)],
    ids=["postgresql-flush", "postgresql-commit", "mariadb-flush"],
)
def test_a_lost_race_of_the_application_is_retried_as_without_sessions(
    kind: str, request: pytest.FixtureRequest, note: int, catch_all: bool
) -> None:
    """S6, S11: at the flush or at COMMIT itself, tagged as zope.sqlalchemy tags it."""
    ids = count(100)

    def fail(request: Request, use: str) -> None:
        request.dbsession.add(Note(id=note if attempt_of(request) == 0 else next(ids)))

    with request.getfixturevalue(kind).database() as url:
        prepare(url)
        learnt = compared(url, fail, catch_all=catch_all)
    # With a catch-all view pyramid_tm tags no error of a commit: not ours to mend.
    assert learnt == ((500, 1, [OperationalError]) if catch_all else (200, 2, []))


def test_a_lost_race_without_retry_is_tagged_all_the_same(postgresql: Any) -> None:
    """S6: whoever is further out, another tool for retries, can tell."""
    with postgresql.database() as url:
        prepare(url)
        with opened(url, retry=False) as site:

            def view(request: Request) -> None:
                request.session.get("before")
                request.dbsession.add(Note(id=DEADLOCK))

            answer = site.call(view, site.start())
    assert isinstance(answer.error, OperationalError)
    assert IRetryableError.providedBy(answer.error)


@pytest.mark.parametrize("step", ["tpc_begin", "commit", "tpc_vote", "tpc_finish"])
def test_another_data_manager_fails_as_it_would_without_sessions(
    database_url: str, step: str
) -> None:
    """S6: in whatever step, retryable or not, before or after the session was saved."""
    ids = count(100)

    def join(request: Request, error: Exception) -> None:
        request.dbsession.add(Note(id=next(ids)))
        request.tm.get().join(failing(step, error))

    def lose_once(request: Request, use: str) -> None:
        if attempt_of(request) == 0:
            join(request, LostRace())

    assert compared(database_url, lose_once) == (200, 2, [])
    if step != "tpc_finish":  # then all was committed, and so was the session
        learnt = compared(database_url, lambda request, use: join(request, KeyError()))
        assert learnt == (None, 1, [KeyError])


def test_a_prepared_transaction_fails_and_succeeds_as_it_would(mariadb: Any) -> None:
    """S6: two-phase commit; another resource refuses after the database was prepared."""
    ids = count(100)

    def write(request: Request, use: str) -> None:
        request.dbsession.add(Note(id=next(ids)))

    def refuse(request: Request, use: str) -> None:
        write(request, use)
        resource = failing("tpc_vote", KeyError())
        resource.sort_key = "~last"
        request.tm.get().join(resource)

    with mariadb.database() as url:
        assert compared(url, write, twophase=True) == (200, 1, [])
        assert compared(url, refuse, twophase=True) == (None, 1, [KeyError])


def test_a_hook_of_the_application_fails_as_it_would(database_url: str) -> None:
    """S6: whether it runs before or after the session's save, its error is the one that arrives."""

    def fail_early(request: Request, use: str) -> None:
        request.tm.get().addBeforeCommitHook({}.__getitem__, ("early",))

    def fail_late(request: Request, use: str) -> None:
        transaction = request.tm.get()
        add = transaction.addBeforeCommitHook
        add(add, ({}.__getitem__, ("late",)))

    for fail in (fail_early, fail_late):
        assert compared(database_url, fail) == (None, 1, [KeyError])


FAULTS: dict[str, tuple[Callable[[Request], Any], type[Exception]]] = {
    "nested": (lambda request: request.session["cart"].append({1, 2}), NotStorable),
    "large": (lambda request: request.session.update(big="x" * 3000), SessionTooLarge),
    "replaced": (
        lambda request: (request.session.invalidate(), request.session.update(big="x" * 3000)),
        SessionTooLarge,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("catch_all", [False, True])
def test_a_session_that_cannot_be_saved_is_the_error_that_arrives(
    database_url: str, caplog: pytest.LogCaptureFixture, fault: str, catch_all: bool
) -> None:
    """S6, S7, S10: as itself, once, with one line in the log; nothing holds a lock meanwhile."""
    spoil, kind = FAULTS[fault]
    with opened(database_url, catch_all=catch_all, max_size="1 KiB") as site:
        token = site.start()
        site.in_error_view = lambda: site.assert_free(token)

        def view(request: Request) -> None:
            request.session["cart"] = []
            request.dbsession.add(Note(id=100))
            request.dbsession.flush()
            spoil(request)

        answer = site.call(view, token)
        assert told(site, answer) == (500 if catch_all else None, 1, [kind])
        site.assert_free(token)
        assert not site.has_note(100)
        stored = site.stored(token)
        # An ending is attempted all the same.
        assert stored is None if fault == "replaced" else stored == {"before": 1}
    (line,) = our_errors(caplog)
    assert "not saved" in line
    assert "not committed" in line


def test_a_lost_race_at_the_save_is_retried_and_said_as_it_is(postgresql: Any) -> None:
    """S11: the session's row is what the race was about, and the next attempt finds it free."""
    with postgresql.database() as url, opened(url) as site:
        with site.engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$"
            )
            connection.exec_driver_sql(
                "CREATE TRIGGER lose BEFORE UPDATE ON sessions FOR EACH ROW"
                " WHEN (position('unlucky'::bytea in NEW.data) > 0) EXECUTE FUNCTION lose()"
            )
        token = site.start()

        def view(request: Request) -> None:
            request.dbsession.add(Note(id=100 + attempt_of(request)))
            request.session["luck"] = "unlucky" if attempt_of(request) == 0 else "lucky"

        assert site.call(view, token).attempts == 2
        stored = site.stored(token)
        assert stored is not None
        assert stored["luck"] == "lucky"
        assert (site.has_note(100), site.has_note(101)) == (False, True)
