"""The database goes away and comes back: nobody is signed out, and other pages go on (L8)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor as Pool
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import make_url, select

from harness.waiting import wait_until
from harness.wire import Proxy, counting
from myapp.database import create_database_engine
from myapp.sessions import SessionSecurityPolicy, StoreUnavailable
from myapp.sessions.sql.store import SqlStore
from tests.sessions.app import App, cookies_of, create_table, token_of
from tests.sessions.conftest import MakeApp

SERVERS = ("postgresql", "mariadb")


def fail(request: Request) -> None:
    raise KeyError("something else")


VIEWS = {
    "plain": lambda request: "plain",
    "read": lambda request: request.session.get("key"),
    "set": lambda request: request.session.update(key="value"),
    "sign_in": lambda request: request.session.sign_in("ann"),
    "end": lambda request: request.session.invalidate(),
    "policy": lambda request: request.authenticated_userid,
    "fail": fail,
}


def error_page(error: Exception, request: Request) -> Response:
    """An exception view that itself looks at the session."""
    return Response(f"sorry, {request.session.user_id}", status=404)


def configure(config: Configurator) -> None:
    config.set_security_policy(SessionSecurityPolicy())
    config.add_exception_view(error_page, context=KeyError)


@pytest.fixture(params=SERVERS)
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A proxy that can play dead, in front of a real server."""
    with request.getfixturevalue(request.param).database() as url:
        create_table(url)
        with Proxy(url) as proxy:
            yield proxy


@pytest.fixture
def app(proxy: Proxy, make_app: MakeApp) -> App:
    return make_app(
        VIEWS, url=proxy.url, configure=configure, connect_timeout="2s", statement_timeout="2s"
    )


def take_down(proxy: Proxy) -> None:
    """No new connections, and no old ones."""
    proxy.refuse()
    proxy.drop()


def assert_unavailable(response: Any) -> None:
    """A 503 that asks for patience, and leaves the client's cookie alone."""
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert cookies_of(response) == []


@pytest.mark.parametrize("path", ["/read", "/set", "/policy", "/fail", "/end", "/sign_in"])
def test_whatever_touches_the_session_is_a_503(app: App, proxy: Proxy, path: str) -> None:
    """L8: view, security policy and exception view alike; an outage signs nobody out."""
    token = token_of(app.get("/sign_in"))
    take_down(proxy)
    assert_unavailable(app.get(path, token))
    assert app.get("/plain", token).text == "plain"
    proxy.restore()
    wait_until(lambda: app.get("/policy", token).text == "ann", "the session is back")


def test_a_dropped_connection_costs_nobody_anything(app: App, proxy: Proxy) -> None:
    """L2: on a dead pooled connection the read is tried once more."""
    token = token_of(app.get("/sign_in"))
    proxy.drop()
    assert app.get("/policy", token).text == "ann"


def test_nor_does_one_cost_a_list_anything(app: App, proxy: Proxy) -> None:
    """L2: what is done seldom is tried once more, too."""
    token = token_of(app.get("/sign_in"))
    for _ in range(2):
        proxy.drop()
        assert len(app.manager.of_user("ann")) == 1
        proxy.drop()
        assert app.get("/policy", token).text == "ann"


def test_who_finds_a_second_dead_connection_spares_those_opened_since(
    app: App, proxy: Proxy
) -> None:
    """L9: after an outage there are no more connects than connections that are used."""
    token = token_of(app.get("/sign_in"))
    store = app.manager.store
    assert isinstance(store, SqlStore)
    connections = [store._pool.take() for _ in range(3)]
    for connection in connections:
        store._pool.give_back(connection)
    proxy.drop()
    with counting(proxy) as wire:
        for _ in range(5):
            assert app.get("/policy", token).text == "ann"
    assert wire.connections == 1


def test_a_lock_whose_answer_was_lost_is_held(app: App, proxy: Proxy) -> None:
    """S13: nobody waits for their own lock."""
    app.get("/sign_in")
    (row,) = app.rows()
    store = app.manager.store
    proxy.cut_after("UPDATE")
    assert store.lock(row.digest, "me", now=row.seen_at, until=row.seen_at + 1000)
    assert not store.lock(row.digest, "you", now=row.seen_at, until=row.seen_at + 1000)


def test_a_save_without_database_says_so_and_sends_no_cookie(app: App, proxy: Proxy) -> None:
    """S7: a cookie is sent only once its row is committed."""
    take_down(proxy)
    assert_unavailable(app.get("/set"))
    proxy.restore()
    wait_until(lambda: bool(cookies_of(app.get("/set"))), "sessions can be saved")
    assert len(app.rows()) == 1


def test_after_a_failed_connect_nobody_waits(app: App, proxy: Proxy) -> None:
    """L8: for a pause, loads fail at once, without another try."""
    token = token_of(app.get("/set"))
    take_down(proxy)
    assert_unavailable(app.get("/read", token))
    with counting(proxy) as wire:
        for _ in range(20):
            assert_unavailable(app.get("/read", token))
    assert wire.connections <= 1


@pytest.mark.parametrize("verb", ["INSERT", "UPDATE"])
def test_an_ambiguous_save_is_resolved_by_one_look(app: App, proxy: Proxy, verb: str) -> None:
    """S7: the connection broke behind the commit, and the answer was lost."""
    token = token_of(app.get("/set")) if verb == "UPDATE" else None
    proxy.cut_after(verb)
    response = app.get("/sign_in") if token is None else app.get("/end", token)
    assert response.status_code == 200
    assert len(cookies_of(response)) == 1
    assert len(app.rows()) == (1 if token is None else 0)


@pytest.mark.parametrize("verb", ["INSERT", "UPDATE", "COMMIT"])
@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
def test_a_renewal_cut_off_is_done_or_not_and_never_half(
    app: App, proxy: Proxy, cut: str, verb: str
) -> None:
    """R1, S7: one live session before and after, and the client has its token."""
    token = token_of(app.get("/set"))
    at_once = make_url(app.url).get_backend_name() == "postgresql"
    getattr(proxy, cut)("WITH" if at_once else verb)
    response = app.get("/sign_in", token)
    assert response.status_code == 200
    assert app.get("/policy", token_of(response)).text == "ann"
    assert [row.user_id for row in app.rows()] == ["ann"]


def test_a_hanging_statement_ends(proxy: Proxy) -> None:
    """L8: a server that says nothing more is given up after its time."""
    store = SqlStore(proxy.url, connect_timeout=1000, statement_timeout=1000)
    store.load([b"x" * 32])
    proxy.black_hole()
    with pytest.raises(StoreUnavailable):
        store.load([b"x" * 32])
    proxy.restore()
    store.close()


def test_a_black_hole_leaves_threads_to_other_pages(proxy: Proxy, make_app: MakeApp) -> None:
    """L8: more requests than threads, each of which wants its session; the other pages answer."""
    app = make_app(VIEWS, url=proxy.url, connect_timeout="5s", statement_timeout="5s")
    token = token_of(app.get("/set"))
    proxy.drop()
    proxy.black_hole()
    with Pool(4) as pool:
        stuck = pool.submit(app.get, "/read", token)
        store = app.manager.store
        assert isinstance(store, SqlStore)
        wait_until(lambda: store.is_stuck, "one request waits for a connection")
        others = [pool.submit(app.get, "/read", token) for _ in range(20)]
        for other in others:
            assert_unavailable(other.result(timeout=3))
        assert not stuck.done()
        assert pool.submit(app.get, "/plain").result(timeout=3).text == "plain"
        proxy.restore()
        stuck.result(timeout=20)


def test_a_request_that_holds_the_applications_connection_gets_its_session(
    make_app: MakeApp, sqlite_url: str
) -> None:
    """L9: the session's engine is its own, so that nobody waits for themselves."""
    engine = create_database_engine(sqlite_url, pool_size=1, max_overflow=0)

    def view(request: Request) -> Any:
        with engine.begin() as connection:
            connection.execute(select(1))
            return request.session.get("key")

    app = make_app(VIEWS | {"view": view})
    assert app.get("/view", token_of(app.get("/set"))).text == "value"
    engine.dispose()


def test_a_locked_sqlite_file_is_a_503(make_app: MakeApp, sqlite_url: str) -> None:
    """L8: `database is locked`, after the time that a statement may take."""
    app = make_app(VIEWS, statement_timeout="1s")
    token = token_of(app.get("/set"))
    engine = create_database_engine(sqlite_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        assert_unavailable(app.get("/sign_in", token))
        assert app.get("/read", token).text == "value"
        connection.rollback()
    engine.dispose()
    assert app.get("/sign_in", token).status_code == 200


def test_an_application_starts_while_its_database_is_down(
    proxy: Proxy, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """L8: with a warning; pages without sessions are served, and recovery needs no restart."""
    take_down(proxy)
    app = make_app(VIEWS, url=proxy.url)
    assert "the sessions table could not be checked" in caplog.text
    assert app.get("/plain").text == "plain"
    assert_unavailable(app.get("/set"))
    proxy.restore()
    wait_until(lambda: app.get("/set").status_code == 200, "sessions work")


def test_a_raised_4xx_in_an_outage_is_still_answered(app: App, proxy: Proxy) -> None:
    """L8: what does not touch the session is served."""

    def view(request: Request) -> None:
        raise HTTPForbidden

    other = App(proxy.url, {"view": view})
    take_down(proxy)
    assert other.get("/view").status_code == 403
    other.close()
