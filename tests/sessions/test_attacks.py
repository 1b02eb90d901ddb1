"""What broke others, each test named after it.

Those with a file of their own topic stay there: a late save that resurrects a session and a
rotation that is undone by a parallel save in `test_races.py`, the missing Vary in
`test_headers.py`, partitioned and unpartitioned twins in `test_loading.py`, the deletion of a
`__Host-` cookie in `test_endings.py`.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace
from sqlalchemy import make_url, update

from harness.processes import ROOT, clean_environment
from myapp.database import create_database_engine
from myapp.sessions.core.kind import tell
from myapp.sessions.core.lifetime import to_datetime
from myapp.sessions.core.loading import load
from myapp.sessions.core.store import Ending
from myapp.sessions.core.sweep import sweep
from myapp.sessions.core.token import digest
from myapp.sessions.sql.model import table
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import NOW, a_session, at_once, marking
from tests.sessions.app import App, Clock, cookies_of, create_table, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.views import VIEWS

MORE = {
    "bob": lambda request: request.session.sign_in("bob"),
    "promote": lambda request: request.session.update(admin=True),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(database_url: str, make_app: MakeApp, clock: Clock) -> App:
    create_table(database_url)
    return make_app(VIEWS | MORE, url=database_url, clock=clock, idle_timeout="1h")


@pytest.fixture
def store(app: App) -> SqlStore:
    assert isinstance(app.manager.store, SqlStore)
    return app.manager.store


def test_authority_restored_by_an_old_payload(app: App) -> None:
    """S4, R4: Laravel #30996; what a slow request had read, it does not bring back."""
    token = token_of(app.get("/sign_in"))
    app.get("/promote", token)
    with app.manager.session(token) as slow:
        assert slow["admin"]
        slow["page"] = 1
        with app.manager.session(token) as demoting:
            del demoting["admin"]
    assert app.get("/show", token).json == {"page": 1}

    app.get("/promote", token)
    with app.manager.session(token) as slow:
        assert slow["admin"]
        slow["page"] = 2
        bobs = token_of(app.get("/bob", token))
    assert app.get("/show", bobs).json == {}
    assert app.get("/who", bobs).text == "bob"
    assert app.get("/who", token).text == "nobody"


def test_session_table_flooding(make_app: MakeApp) -> None:
    """S2, ASVS 2.4.1: Django 1.8.3, Laravel #21170; 10,000 random cookies make no row."""
    app = make_app(VIEWS)
    assert isinstance(app.manager.store, SqlStore)
    for _ in range(10_000):
        load(app.manager.kind, [secrets.token_urlsafe(32)], tell)
    for path in ("/show", "/end", "/pop", "/who"):
        app.get(path, secrets.token_urlsafe(32))
    assert app.manager.store.count() == 0


def test_expired_sessions_served(app: App, store: SqlStore, clock: Clock) -> None:
    """L4: Django's cached_db; no way to a session asks less than another, swept or not."""
    token = token_of(app.get("/sign_in"))
    (row,) = app.rows()
    clock.forward(3600)
    assert store.count() == 1
    assert app.manager.load(token) is None
    assert app.manager.of_user("ann") == []
    assert list(app.manager.iterate()) == []
    assert app.get("/who", token).text == "nobody"
    # And none writes to it.
    later = replace(row, version=2, seen_at=clock(), expires_at=clock() + 1000)
    assert not store.update(later, row.version)
    assert not store.touch(
        row.digest, seen_at=clock(), expires_at=clock() + 1000, not_since=clock()
    )
    assert not store.renew(marking(row), row.version, a_session(seen_at=clock()))


BORN = """
import sys, time
from myapp.sessions import make_manager
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.sql.store import SqlStore

settings = read_session_settings({"session.url": sys.argv[1], "session.idle_timeout": "10m"}, {})
manager = make_manager(settings, SqlStore(sys.argv[1]))
with manager.session() as session:
    session.sign_in("ann")
(info,) = manager.of_user("ann")
assert abs(info.created.timestamp() - time.time()) < 60
assert 590 < (info.expires - info.last_seen).total_seconds() < 601
assert manager.load(session.token) is not None
print(session.token)
"""


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_sessions_born_expired_through_clock_or_time_zone(
    database_url: str, make_app: MakeApp, zone: str
) -> None:
    """L4: connect-pg-simple #25, scs #48; neither the process's zone nor the database's counts."""
    create_table(database_url)
    with database_in_a_zone(database_url):
        born = subprocess.run(
            [sys.executable, "-c", BORN, database_url],
            env=clean_environment({"TZ": zone}),
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        # And read where the clock on the wall shows another time.
        app = make_app(VIEWS, url=database_url)
        assert app.get("/who", born.stdout.strip()).text == "ann"
        assert list(sweep(app.manager.store, app.manager.kind.clock)) == []
        assert len(app.manager.of_user("ann")) == 1


@contextmanager
def database_in_a_zone(url: str) -> Iterator[None]:
    """The database's own clock is thirteen hours ahead of ours, where it has one."""
    engine = create_database_engine(url, isolation_level="AUTOCOMMIT")
    name = make_url(url).database
    begin, end = {
        "sqlite": ("SELECT 1", "SELECT 1"),
        "postgresql": (f"ALTER DATABASE \"{name}\" SET timezone = 'Etc/GMT-13'", "SELECT 1"),
        "mariadb": ("SET GLOBAL time_zone = '+13:00'", "SET GLOBAL time_zone = 'SYSTEM'"),
    }[engine.dialect.name]
    with engine.connect() as connection:
        connection.exec_driver_sql(begin)
        yield
        connection.exec_driver_sql(end)
    engine.dispose()


def test_cleanup_that_deletes_live_rows(app: App, store: SqlStore, clock: Clock) -> None:
    """W1: koa-pg-session #8; whatever prolonged a session's life, the sweeper knows of it."""
    touched, saved, renewed, moved = (token_of(app.get("/sign_in")) for _ in range(4))
    idle = token_of(app.get("/sign_in"))
    clock.forward(3000)
    app.get("/who", touched)
    app.get("/set", saved)
    renewed = token_of(app.get("/renew", renewed))
    with app.manager.session(moved) as session:
        session.deadline = to_datetime(clock() + 400 * 86_400_000)
    clock.forward(700)
    list(sweep(store, clock))
    for token in (touched, saved, renewed, moved):
        assert app.get("/who", token).text == "ann"
    assert store.load([digest("session", idle)]) == []
    assert store.count() == 4


def test_cleanup_that_deadlocks(store: SqlStore) -> None:
    """W1: Spring #838; sweepers among each other and with those who save, touch and end."""
    dead = [a_session(expires_at=NOW - 1) for _ in range(200)]
    # The sweepers have to look at these, too, since they were touched after their first expiry
    # was noted.
    live = [a_session(expires_at=NOW, seen_at=NOW - 2) for _ in range(60)]
    for row in (*dead, *live):
        store.insert(row)
    for row in live:
        store.touch(row.digest, seen_at=NOW - 1, expires_at=NOW + 2000, not_since=NOW - 2)

    def sweeping() -> int:
        return sum(sweep(store, lambda: NOW, batch=20))

    def using() -> None:
        for row in live:
            store.touch(row.digest, seen_at=NOW, expires_at=NOW + 2000, not_since=NOW - 1)

    def saving() -> None:
        for row in live:
            saved = replace(row, version=2, seen_at=NOW, expires_at=NOW + 3000)
            assert store.update(saved, 1)

    def ending() -> None:
        for row in dead:
            store.end([marking(row)])

    results = at_once(sweeping, sweeping, sweeping, using, saving, ending)
    assert not [result for result in results if isinstance(result, BaseException)]
    assert {row.digest for row in store.iterate("session")} == {row.digest for row in live}


def test_hash_then_hash_again_that_revokes_nothing(app: App, store: SqlStore) -> None:
    """I8, I11, R6: scs's HashTokenInStore with Iterate and Destroy; what a list names, it ends."""
    tokens = [token_of(app.get("/sign_in")) for _ in range(3)]
    (one, _), *_ = app.manager.iterate()
    assert app.manager.end(one.handle)
    assert sorted(app.get("/who", token).text for token in tokens) == ["ann", "ann", "nobody"]
    for row in store.iterate("session"):
        assert store.end([Ending(row.digest, "revoked")]) == 1
    assert [app.get("/who", token).text for token in tokens] == ["nobody"] * 3
    assert store.count() == 0


def test_logout_that_deletes_nothing(app: App, store: SqlStore, clock: Clock) -> None:
    """ASVS 7.4.1, R3: Spring #1847's fix; only a marker is left, and soon not even that."""
    token = token_of(app.get("/sign_in"))
    app.get("/set", token)
    assert "Max-Age=0" in cookies_of(app.get("/sign_out", token))[0]
    (left,) = store.load([digest("session", token)])
    assert (left.ended, left.user_id, left.generation) == ("signed_out", None, None)
    assert app.manager.kind.codec.decode(left.data).values == {}
    assert app.get("/who", token).text == "nobody"
    assert app.manager.of_user("ann") == []
    clock.forward(60 + 60 * 60)
    list(sweep(store, clock))
    assert store.count() == 0


@pytest.mark.parametrize("junk", [b"", b"\x80\x04\x95\x00}\x94.", b"\xc1" * 40])
def test_an_unreadable_row_and_an_endless_500(app: App, store: SqlStore, junk: bytes) -> None:
    """L7: scs #269, Spring #529; the visitor goes on without that session, and can sign in."""
    token = token_of(app.get("/sign_in"))
    with store.engine.connect() as connection:
        connection.execute(update(table).values(data=junk))
    for path in ("/show", "/who", "/csrf", "/pop", "/show"):
        answer = app.get(path, token)
        assert answer.status_code == 200
        assert cookies_of(answer) == []
    assert list(app.manager.iterate()) == []
    again = token_of(app.get("/sign_in", token))
    assert app.get("/who", again).text == "ann"
    assert [row.digest for row in app.rows()] == [digest("session", again)]
