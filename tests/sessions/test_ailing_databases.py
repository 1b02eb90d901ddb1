"""The database answers, and can't do what is asked: it is read-only, full, locked or busy (L8).

Whatever has to write a session is a 503 then; the rest goes on, and when it is over all is as
before, without a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pyramid.config import Configurator
from sqlalchemy import Engine, event, make_url, select

import myapp
from myapp.database import create_database_engine
from myapp.sessions import SessionSecurityPolicy, get_manager
from myapp.sessions.core.token import digest
from myapp.sessions.sql.model import table
from myapp.sessions.sql.pool import MOST
from myapp.sessions.sql.store import SqlStore
from tests.functional.visitors import visitor
from tests.needed import NEEDED, end
from tests.sessions.app import App, Clock, create_table, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.test_outages import VIEWS, assert_unavailable

SAVING = VIEWS | {
    "change": lambda request: request.session.update(key="value", more=1),
    "big": lambda request: request.session.update(key="value", big="x" * 50_000),
}
TIGHT = {"connect_timeout": "1s", "statement_timeout": "1s"}


@dataclass(frozen=True, slots=True)
class Place:
    """A database, as its owner sees it and as the application does."""

    owner: Engine
    url: str


@pytest.fixture
def place(database_url: str) -> Iterator[Place]:
    """A database with the sessions table; the application's user may not override its owner."""
    create_table(database_url)
    owner = create_database_engine(database_url, isolation_level="AUTOCOMMIT")
    url = make_url(database_url)
    if owner.dialect.name == "mariadb":
        # root writes to a read-only server.
        with owner.connect() as connection:
            connection.exec_driver_sql("CREATE OR REPLACE USER web@'%%'")
            connection.exec_driver_sql(f"GRANT ALL ON `{url.database}`.* TO web@'%%'")
        url = url.set(username="web")
    yield Place(owner, url.render_as_string(hide_password=False))
    owner.dispose()


@pytest.fixture
def app(place: Place, make_app: MakeApp) -> App:
    return make_app(SAVING, url=place.url, configure=with_policy, clock=Clock(), **TIGHT)


def with_policy(config: Configurator) -> None:
    config.set_security_policy(SessionSecurityPolicy())


def store_of(app: App) -> SqlStore:
    assert isinstance(app.manager.store, SqlStore)
    return app.manager.store


# What can be wrong; each lasts for a block.


@contextmanager
def read_only(store: SqlStore, place: Place, token: str) -> Iterator[None]:
    """The database takes no writes. Connections that are made now stay like that, as those do
    that lead to a server which has become a standby.
    """
    engine = store.engine
    name = engine.url.database
    with place.owner.connect() as owner, ExitStack() as stack:
        if engine.dialect.name == "sqlite":
            stack.enter_context(saying(store, "PRAGMA query_only=ON"))
        elif engine.dialect.name == "mariadb":
            owner.exec_driver_sql("SET GLOBAL read_only=1")
            stack.callback(owner.exec_driver_sql, "SET GLOBAL read_only=0")
        else:
            setting = "default_transaction_read_only"
            owner.exec_driver_sql(f'ALTER DATABASE "{name}" SET {setting} = on')
            stack.callback(owner.exec_driver_sql, f'ALTER DATABASE "{name}" RESET {setting}')
            # Only new connections hear of it.
            owner.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        yield


@contextmanager
def full(store: SqlStore, place: Place, token: str) -> Iterator[None]:
    """No page can be added to the SQLite file."""
    with place.owner.connect() as owner:
        pages = owner.exec_driver_sql("PRAGMA page_count").scalar_one()
    with saying(store, f"PRAGMA max_page_count={pages}"):
        yield
    # Connections that are told so keep to it, unlike those to a disk that has room again.
    store.close()


@contextmanager
def locked(store: SqlStore, place: Place, token: str) -> Iterator[None]:
    """Another connection holds the lock on the session's row."""
    with place.owner.connect().execution_options(isolation_level="READ COMMITTED") as other:
        row = select(table.c.digest).where(table.c.digest == digest("session", token))
        assert other.execute(row.with_for_update()).first()
        yield
        other.rollback()


@contextmanager
def busy(store: SqlStore, place: Place, token: str) -> Iterator[None]:
    """Every connection is in use."""
    with ExitStack() as stack:
        for _ in range(MOST):
            stack.callback(store._pool.give_back, store._pool.take())
        yield


@contextmanager
def saying(store: SqlStore, statement: str) -> Iterator[None]:
    """Each connection that is made within the block begins with a statement."""

    def say(connection: Any, record: object) -> None:
        connection.execute(statement)

    store.close()
    event.listen(store.engine, "connect", say)
    yield
    event.remove(store.engine, "connect", say)


Ailment = Callable[[SqlStore, Place, str], AbstractContextManager[None]]

SERVERS = ("postgresql", "mariadb")
AILMENTS: list[tuple[Ailment, tuple[str, ...]]] = [
    (read_only, ("sqlite", *SERVERS)),
    (full, ("sqlite",)),
    (locked, SERVERS),
    (busy, ("sqlite", *SERVERS)),
]
# What needs a write that can't be done. A full file still has room to end a session.
WRITING: dict[Ailment, list[str]] = {
    read_only: ["/change", "/end", "/sign_in", "/big"],
    full: ["/big"],
    locked: ["/change", "/end", "/sign_in", "/big"],
    busy: ["/change", "/end", "/sign_in", "/big", "/read", "/policy"],
}

each_ailment = pytest.mark.parametrize(
    ("ailment", "database_url"),
    [
        pytest.param(ailment, kind, id=f"{ailment.__name__}-{kind}")
        for ailment, kinds in AILMENTS
        for kind in kinds
    ],
    indirect=["database_url"],
)


@each_ailment
def test_what_can_not_be_saved_is_a_503_and_the_rest_goes_on(
    app: App, place: Place, ailment: Ailment
) -> None:
    """L8, S7: nobody is signed out, no cookie is sent, and recovery needs no restart."""
    token = signed_in(app)
    with ailment(store_of(app), place, token):
        for path in WRITING[ailment]:
            assert_unavailable(app.get(path, token))
        assert app.get("/plain", token).text == "plain"
        if "/read" not in WRITING[ailment]:
            assert app.get("/read", token).text == "value"
            assert app.get("/policy", token).text == "ann"
    assert app.get("/policy", token).text == "ann"
    assert app.get("/big", token).status_code == 200
    assert app.get("/set").status_code == 200
    assert [row.user_id for row in app.rows()].count("ann") == 1


@pytest.mark.parametrize("database_url", ["sqlite", *SERVERS], indirect=True)
@pytest.mark.parametrize("ailment", [read_only, busy])
def test_a_new_visitor_gets_no_cookie(app: App, place: Place, ailment: Ailment) -> None:
    """S7: for a session that could not be stored; who stores nothing notices nothing."""
    with ailment(store_of(app), place, ""):
        assert_unavailable(app.get("/set"))
        assert app.get("/read").status_code == 200
    assert app.rows() == []


@pytest.mark.parametrize(
    ("ailment", "database_url"),
    [(read_only, "sqlite"), *[(each, kind) for each in (read_only, locked) for kind in SERVERS]],
    indirect=["database_url"],
)
def test_a_touch_that_can_not_be_written_is_no_error(
    place: Place, make_app: MakeApp, ailment: Ailment, caplog: pytest.LogCaptureFixture
) -> None:
    """S7, S9: it is logged, and the page that only reads is answered."""
    clock = Clock()
    app = make_app(SAVING, url=place.url, clock=clock, idle_timeout="1h", **TIGHT)
    token = signed_in(app)
    clock.forward(1800)
    with ailment(store_of(app), place, token):
        assert app.get("/read", token).text == "value"
    assert "sessions can't be written" in caplog.text
    assert app.get("/read", token).text == "value"
    clock.forward(3000)
    assert app.get("/read", token).text == "value", "the touch was made up for"


@pytest.mark.parametrize("database_url", ["sqlite", *SERVERS], indirect=True)
@pytest.mark.parametrize("ailment", [read_only, busy])
def test_the_health_page_tells(place: Place, ailment: Ailment) -> None:
    """L8: that sessions can't be saved, without a word of the database's own."""
    settings = {"sqlalchemy.url": place.url, "session.sweep_interval": "off", **NEEDED}
    router = myapp.main({}, **settings, **{f"session.{key}": value for key, value in TIGHT.items()})
    store = get_manager(router.registry).store
    assert isinstance(store, SqlStore)
    assert visitor(router).get("/health").json["sessions"] == "ok"
    with ailment(store, place, ""):
        told = visitor(router).get("/health", status=503).json
        assert told == {"status": "unavailable", "database": "ok", "sessions": "cannot be saved"}
        assert visitor(router).get("/").status_code == 200
    assert visitor(router).get("/health").json["sessions"] == "ok"
    store.close()
    end(router)


def test_an_application_starts_on_a_file_that_can_only_be_read(
    make_app: MakeApp, sqlite_url: str
) -> None:
    """L8: what was stored is read, and what would have to be stored is a 503."""
    token = signed_in(make_app(SAVING))
    path = make_url(sqlite_url).database
    app = make_app(
        SAVING, url=f"sqlite:///file:{path}?mode=ro&uri=true", configure=with_policy, **TIGHT
    )
    assert app.get("/read", token).text == "value"
    assert app.get("/policy", token).text == "ann"
    assert_unavailable(app.get("/change", token))
    assert_unavailable(app.get("/end", token))


def signed_in(app: App) -> str:
    """The token of a session with a user and a value."""
    token = token_of(app.get("/sign_in"))
    app.get("/set", token)
    return token
