"""A session is saved within the transaction only where that can write, and to the right table.

Where it can't, a statement of its own follows right after the commit; the request has done nothing
wrong and must not notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from myapp.database import create_database_engine
from tests.outcomes.app import FailingAtCommit, Note
from tests.outcomes.site import Answer, Site, opened

TAKEN = IntegrityError("INSERT", None, Exception("taken"))

Restrict = Callable[[Request], Any]


def run(*statements: str) -> Restrict:
    """The view says this to its database first."""

    def restrict(request: Request) -> None:
        for statement in statements:
            request.dbsession.execute(text(statement))

    return restrict


def connecting(**options: Any) -> Restrict:
    """The view asks for a connection of a certain kind."""
    return lambda request: request.dbsession.connection(execution_options=options)


def assert_saves_as_ever(site: Site, restrict: Restrict) -> None:
    """A new session, a change, a sign-in and its end, each in a request of its own."""

    def step(change: Restrict, token: str | None) -> Answer:
        def view(request: Request) -> None:
            restrict(request)
            change(request)

        answer = site.call(view, token)
        assert (answer.status, answer.error) == (200, None)
        return answer

    token = step(lambda request: request.session.update(a=1), None).token()
    step(lambda request: request.session.update(b=2), token)
    stored = site.stored(token)
    assert stored == {"a": 1, "b": 2}
    new = step(lambda request: request.session.sign_in("ann"), token).token()
    assert site.stored(token) is None
    stored = site.stored(new)
    assert stored is not None
    assert stored.user_id == "ann"
    step(lambda request: request.session.sign_out(), new)
    assert site.stored(new) is None
    assert site.manager.of_user("ann") == []
    site.assert_free(token)


POSTGRESQL: dict[str, Restrict] = {
    "set_transaction": run("SET TRANSACTION READ ONLY"),
    "after_a_read": run("SELECT count(*) FROM notes", "SET LOCAL transaction_read_only = on"),
    "option": connecting(postgresql_readonly=True),
    "reads_all": run("SET LOCAL ROLE pg_read_all_data"),
    "no_rights": run("SET LOCAL ROLE pg_monitor"),
    "autocommit": connecting(isolation_level="AUTOCOMMIT"),
}
MARIADB: dict[str, Restrict] = {
    "start": run("START TRANSACTION READ ONLY", "SELECT count(*) FROM notes"),
    "set_transaction": run("SET TRANSACTION READ ONLY", "SELECT count(*) FROM notes"),
    "autocommit": connecting(isolation_level="AUTOCOMMIT"),
}
SQLITE: dict[str, Restrict] = {
    "query_only": run("PRAGMA query_only=ON"),
    "autocommit": connecting(isolation_level="AUTOCOMMIT"),
}


@pytest.mark.parametrize("how", POSTGRESQL)
def test_a_postgresql_transaction_that_may_not_write_is_left_alone(
    postgresql: Any, how: str
) -> None:
    """S6: READ ONLY, another role, AUTOCOMMIT: the session is saved apart, with a 200."""
    with postgresql.database() as url, opened(url) as site:
        assert_saves_as_ever(site, POSTGRESQL[how])


@pytest.mark.parametrize("how", MARIADB)
def test_a_mariadb_transaction_that_may_not_write_is_left_alone(mariadb: Any, how: str) -> None:
    """S6: READ ONLY, whoever began it, and AUTOCOMMIT."""
    with mariadb.database() as url, opened(url) as site:
        assert_saves_as_ever(site, MARIADB[how])


@pytest.mark.parametrize("how", SQLITE)
def test_a_sqlite_connection_that_may_not_write_is_left_alone(tmp_path: Any, how: str) -> None:
    """S6: the sessions' own connection may."""
    with opened(f"sqlite:///{tmp_path / 'test.sqlite'}") as site:
        assert_saves_as_ever(site, SQLITE[how])


@pytest.mark.parametrize("namesake", [False, True], ids=["no_table", "namesake"])
def test_another_schema_or_database_is_not_written_to(
    request: pytest.FixtureRequest, namesake: bool
) -> None:
    """S6: `sessions` means another table there, or none; a second one stays empty."""
    with request.getfixturevalue("postgresql").database() as url, opened(url) as site:
        with site.engine.begin() as connection:
            connection.exec_driver_sql("CREATE SCHEMA other")
            if namesake:
                connection.exec_driver_sql("CREATE TABLE other.sessions (LIKE sessions)")
        assert_saves_as_ever(site, run("SET LOCAL search_path TO other"))
        if namesake:
            assert is_empty(site, "other.sessions")
    mariadb = request.getfixturevalue("mariadb")
    with mariadb.database() as url, mariadb.database() as other, opened(url) as site:
        name = create_database_engine(other).url.database
        if namesake:
            with site.engine.begin() as connection:
                connection.exec_driver_sql(f"CREATE TABLE {name}.sessions LIKE sessions")
        assert_saves_as_ever(site, run(f"USE {name}"))
        if namesake:
            assert is_empty(site, f"{name}.sessions")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_temporary_table_is_not_written_to(
    kind: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    """S6: one of the same name hides the real one, from that connection alone."""
    made = {
        "sqlite": "CREATE TEMP TABLE IF NOT EXISTS sessions AS SELECT * FROM main.sessions LIMIT 0",
        "postgresql": "CREATE TEMP TABLE sessions (LIKE public.sessions) ON COMMIT DROP",
    }
    if kind == "sqlite":
        with opened(f"sqlite:///{tmp_path / 'test.sqlite'}") as site:
            assert_saves_as_ever(site, run(made[kind]))
        return
    with request.getfixturevalue(kind).database() as url, opened(url) as site:
        assert_saves_as_ever(site, run(made[kind]))


def test_what_may_not_write_hides_none_that_may(database_url: str) -> None:
    """S6: of two dbsessions in a transaction one is for reading; the other's commit decides."""
    words = {
        "sqlite": "PRAGMA query_only=ON",
        "postgresql": "SET TRANSACTION READ ONLY",
        "mariadb": "START TRANSACTION READ ONLY",
    }
    with opened(database_url, configure=answer_taken) as site:
        token = site.start()

        def view(request: Request) -> None:
            reader = request.environ["test.reader"] = site.new_dbsession(request)
            reader.execute(text(words[site.engine.dialect.name]))
            reader.execute(select(Note)).all()
            request.dbsession.execute(select(Note)).all()
            request.session["after"] = 1

        assert site.call(view, token).status == 200
        assert site.stored(token) == {"before": 1, "after": 1}


@pytest.mark.parametrize("status", [409, 503])
@pytest.mark.parametrize("whole", [True, False], ids=["engine", "connection"])
def test_in_autocommit_nothing_is_saved_before_the_commit(
    database_url: str, status: int, whole: bool
) -> None:
    """S6: it could not be taken back; so it is the answer that decides, as after any abort."""
    options = {"isolation_level": "AUTOCOMMIT"}
    engine = options if whole else {}
    with opened(database_url, engine=engine, configure=answer_taken) as site:
        use = connecting() if whole else connecting(**options)
        token = site.start()

        def view(request: Request) -> None:
            use(request)
            request.dbsession.execute(select(Note)).all()
            request.session["after"] = 1
            request.environ["test.status"] = status
            request.tm.get().join(FailingAtCommit(TAKEN))

        answer = site.call(view, token)
        assert answer.status == status
        saved = {"before": 1, "after": 1} if status < 500 else {"before": 1}
        assert site.stored(token) == saved


def test_a_sign_in_beside_an_autocommit_write_follows_the_outcome(database_url: str) -> None:
    """S6: what was written stays written, but nobody can tell; so it counts as rolled back."""
    with opened(
        database_url, engine={"isolation_level": "AUTOCOMMIT"}, configure=answer_taken
    ) as site:
        token = site.start()

        def view(request: Request) -> None:
            request.dbsession.execute(insert(Note).values(id=100))
            request.session.sign_in("ann")
            request.environ["test.status"] = 409
            request.tm.get().join(FailingAtCommit(TAKEN))

        answer = site.call(view, token)
        assert (answer.status, answer.cookies) == (409, [])
        assert site.stored(token) == {"before": 1}
        assert site.manager.of_user("ann") == []


def answer_taken(config: Configurator) -> None:
    config.add_exception_view(
        lambda error, request: Response("taken", status=request.environ["test.status"]),
        context=IntegrityError,
    )


def is_empty(site: Site, name: str) -> bool:
    with site.engine.connect() as connection:
        found: int = connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()
    return found == 0
