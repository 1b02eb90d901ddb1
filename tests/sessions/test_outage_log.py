"""An outage is two lines in the log, however many requests it refuses (L8)."""

import logging
import re
from collections.abc import Iterator

import pytest

from harness.waiting import wait_until
from harness.wire import Proxy
from myapp.models.probe import Probe
from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.core.sweep import sweep
from myapp.sessions.sql.outages import QUIET, Outages
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session
from tests.sessions.app import App, Clock, create_table, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.test_ailing_databases import Place, place, read_only, store_of  # noqa: F401 (a fixture)
from tests.sessions.test_outages import VIEWS, assert_unavailable, configure, take_down

REFUSED = 12


@pytest.fixture(params=["postgresql", "mariadb"])
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with request.getfixturevalue(request.param).database() as url:
        create_table(url)
        with Proxy(url) as proxy:
            yield proxy


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(proxy: Proxy, make_app: MakeApp, clock: Clock) -> App:
    return make_app(
        VIEWS,
        url=proxy.url,
        configure=configure,
        clock=clock,
        idle_timeout="1h",
        connect_timeout="2s",
        statement_timeout="2s",
        sweep_interval="off",
    )


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What an administrator reads."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def refused_in(line: str) -> int:
    found = re.search(r"after [\d.]+ s; (\d+) requests were refused", line)
    assert found is not None, line
    return int(found[1])


def test_what_is_stored_already_is_no_outage(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """L8: whoever stores it again is refused, and the log says nothing of the database."""
    create_table(database_url)
    store, row = SqlStore(database_url), a_session()
    store.insert(row)
    with pytest.raises(StoreUnavailable):
        store.insert(row)
    assert lines(caplog) == []
    # But where nothing can be stored, something is wrong with the database.
    forbid_inserts(store)
    with pytest.raises(StoreUnavailable):
        store.insert(a_session())
    store.close()
    (line,) = lines(caplog)
    assert line.startswith("sessions can't be written: ")


def forbid_inserts(store: SqlStore) -> None:
    """Let a constraint refuse every new row."""
    refused = "created_at < 0"
    with store.engine.connect() as connection:
        if store.engine.dialect.name == "sqlite":
            abort = f"SELECT RAISE(ABORT, 'CHECK {refused}')"
            trigger = f"CREATE TRIGGER refuse BEFORE INSERT ON sessions BEGIN {abort}; END"
            connection.exec_driver_sql(trigger)
        else:
            connection.exec_driver_sql("DELETE FROM sessions")
            connection.exec_driver_sql(f"ALTER TABLE sessions ADD CHECK ({refused})")


@pytest.mark.parametrize("path", ["/read", "/set", "/sign_in", "/policy", "/end", "/fail"])
def test_an_outage_is_two_lines(
    app: App, proxy: Proxy, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """L8: with its reason, its length, and how many requests were refused."""
    token = token_of(app.get("/sign_in"))
    take_down(proxy)
    for _ in range(REFUSED):
        assert_unavailable(app.get(path, token))
    (begin,) = lines(caplog)
    assert begin.startswith("sessions can't be read or written: ")
    assert "refused" in begin or "closed" in begin
    proxy.restore()
    wait_until(lambda: app.get("/read", token).status_code == 200, "the session is back")
    _, end = lines(caplog)
    # Waiting for the end of the pause some more may have been refused.
    assert refused_in(end) >= REFUSED


def test_touches_sweeps_and_health_checks_add_none(
    app: App, proxy: Proxy, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """L8: whoever asks, and however often."""
    probe = Probe(app.manager.check, "cannot be saved")
    token = token_of(app.get("/sign_in"))
    take_down(proxy)
    for _ in range(5):
        assert probe.trouble() == "cannot be saved"
        assert_unavailable(app.get("/read", token))
        with pytest.raises(Exception, match="unavailable"):
            list(sweep(app.manager.store, clock))
    assert len([line for line in lines(caplog) if "health" in line]) == 1
    assert len([line for line in lines(caplog) if "health" not in line]) == 1


def test_a_server_that_falls_silent_is_told_of(
    app: App, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """L8: though each connect succeeds before and after."""
    token = token_of(app.get("/sign_in"))
    proxy.black_hole()
    assert_unavailable(app.get("/read", token))
    assert len(lines(caplog)) == 1
    proxy.restore()
    wait_until(lambda: app.get("/read", token).status_code == 200, "the session is back")
    assert refused_in(lines(caplog)[-1]) >= 1
    assert len(lines(caplog)) == 2


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_a_read_only_database_is_two_lines_too(
    place: Place,  # noqa: F811 (the fixture)
    make_app: MakeApp,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """L8: what is read meanwhile neither ends it nor begins it anew; touches add nothing."""
    app = make_app(VIEWS, url=place.url, clock=clock, idle_timeout="1h", sweep_interval="off")
    token = token_of(app.get("/sign_in"))
    clock.forward(1800)
    with read_only(store_of(app), place, token):
        for _ in range(4):
            assert_unavailable(app.get("/set", token))
            assert app.get("/read", token).status_code == 200
        (begin,) = [line for line in lines(caplog) if "written" in line]
        assert begin.startswith("sessions can't be written: ")
    assert app.get("/set", token).status_code == 200
    assert len(lines(caplog)) == 2
    assert refused_in(lines(caplog)[-1]) >= 8


class Monotonic:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_comes_and_goes_is_not_a_line_each_time(caplog: pytest.LogCaptureFixture) -> None:
    """L8: it is over when it has not come back for a while."""
    now = Monotonic()
    outages = Outages(now)
    for _ in range(50):
        outages.refused("writing", "locked")
        outages.works("writing")
        now.now += QUIET / 2
    assert len(lines(caplog)) == 2
    now.now += QUIET
    outages.works("writing")
    assert [refused_in(line) for line in lines(caplog)[1:]] == [1, 50]


def test_a_request_is_counted_once(
    app: App, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """L8: though its view, its policy and its error page ask for the session."""
    token = token_of(app.get("/sign_in"))
    take_down(proxy)
    assert_unavailable(app.get("/fail", token))
    store = app.manager.store
    assert isinstance(store, SqlStore)
    assert store.outages.under_way["connecting"].refused == 1
