"""What an application with metrics counts, and that one without them counts nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from harness.servers.ports import answers, free_port
from harness.waiting import wait_until
from myapp.environment import SettingError
from myapp.metrics.reporter import Reporter
from myapp.sessions import StoreUnavailable
from myapp.sessions.core.sweep import sweep
from tests.metrics.samples import Samples, scrape
from tests.sessions.app import App, Clock, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.conftest import make_app as make_app
from tests.sessions.conftest import sqlite_url as sqlite_url
from tests.sessions.effort import effort_of
from tests.sessions.moving import SIGNED, holding, old_cookies, send
from tests.sessions.views import VIEWS

TIMES = "myapp_session_store_seconds_count"


def look(request: Request) -> str:
    request.session.get("key")
    return "hello"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def make(make_app: MakeApp, port: int) -> Iterator[Callable[..., App]]:
    """A maker of applications with metrics, at the port."""
    made: list[App] = []

    def make(settings: dict[str, str] | None = None, **options: Any) -> App:
        given = {"metrics.listen": f"127.0.0.1:{port}"} | (settings or {})

        def configure(config: Configurator) -> None:
            config.add_settings(given)
            config.include("myapp.metrics")
            if "moving.from" in given:
                config.include("myapp.sessions.moving")

        views = VIEWS | {"hello": look}
        options = {"sweep_interval": "off"} | options
        made.append(make_app(views, configure=configure, **options))
        return made[-1]

    yield make
    for app in made:
        for companion in companions(app):
            companion.stop()


def companions(app: App) -> list[Any]:
    return list(app.router.registry["myapp.sessions"].companions)


def shown(port: int) -> Samples:
    wait_until(lambda: answers(port), "the metrics")
    return scrape(port)


def test_what_sessions_do_is_counted(make: Callable[..., App], port: int) -> None:
    """O6: loads, saves, ends by reason, signing in, and what opens nothing."""
    app = make()
    token = token_of(app.get("/sign_in"))
    app.get("/set", token)
    app.get("/sign_out", token)
    app.get("/show", "x" * 43)
    samples = shown(port)
    assert samples[f"{TIMES}{{operation=load,transaction=own}}"] == 3
    assert samples[f"{TIMES}{{operation=insert,transaction=own}}"] == 1
    assert samples[f"{TIMES}{{operation=update,transaction=own}}"] == 1
    events = "myapp_session_events_total{{event={},manager=session}}"
    happened = ("started", "signed_in", "unknown_token", "conflict_merged", "renewed")
    assert [samples[events.format(event)] for event in happened] == [1, 1, 1, 0, 0]
    assert samples["myapp_session_ended_total{manager=session,reason=signed_out}"] == 1
    assert not [name for name in samples if "x" * 43 in name or token in name]


def test_an_old_session_that_moves_in_is_counted(make: Callable[..., App], port: int) -> None:
    """O6, O7: by the library that it came from."""
    app = make(SIGNED)
    send(app, "/show", old_cookies(holding({"user": "ann"})))
    samples = shown(port)
    assert samples["myapp_session_moved_total{kind=signed_cookie,manager=session}"] == 1
    assert samples["myapp_session_events_total{event=started,manager=session}"] == 1


def test_sweeping_and_its_backlog_are_counted(make: Callable[..., App], port: int) -> None:
    """O6: what is due is counted when the metrics are first shown, and what was swept."""
    clock = Clock(1_000_000_000_000)  # long ago
    app = make(clock=clock)
    for _ in range(3):
        app.get("/set")
    shown(port)
    (reporter,) = companions(app)
    reporter.look()
    assert shown(port)["myapp_session_backlog_rows"] == 3
    clock.forward(8 * 86_400)
    assert list(sweep(app.manager.store, clock)) == [3]
    assert shown(port)["myapp_session_swept_rows_total"] == 3


def test_an_outage_shows(make: Callable[..., App], port: int) -> None:
    """O6: while it lasts, and each operation that failed."""
    app = make()
    app.get("/set")
    shown(port)
    store: Any = app.manager.store
    (reporter,) = companions(app)
    assert isinstance(reporter, Reporter)
    store.outages.refused("connecting", "gone")
    reporter.look()
    assert shown(port)["myapp_session_outage{trouble=connecting}"] == 1
    store.outages.works("connecting")
    reporter.look()
    assert shown(port)["myapp_session_outage{trouble=connecting}"] == 0


def test_a_failure_is_counted_and_raised(
    make: Callable[..., App], port: int, tmp_path: Any
) -> None:
    """O6: who is watched fails as ever."""
    app = make()
    app.get("/set")
    shown(port)
    (tmp_path / "sessions.sqlite").unlink()
    app.manager.store.close()
    (tmp_path / "sessions.sqlite").mkdir()
    with pytest.raises(StoreUnavailable):
        app.manager.store.load([bytes(32)])
    failures = "myapp_session_store_failures_total"
    labels = "error=StoreUnavailable,operation=load,transaction=own"
    assert shown(port)[f"{failures}{{{labels}}}"] == 1


def test_the_pool_shows(make: Callable[..., App], port: int) -> None:
    """O6: connections in use and idle, who waits, and how often somebody had to."""
    app = make()
    app.get("/set")
    shown(port)
    store: Any = app.manager.store
    (reporter,) = companions(app)
    held = store._pool.take()
    reporter.look()
    assert shown(port)["myapp_session_pool_connections{state=in_use}"] == 1
    store._pool.give_back(held)
    reporter.look()
    samples = shown(port)
    assert samples["myapp_session_pool_connections{state=in_use}"] == 0
    assert samples["myapp_session_pool_connections{state=idle}"] >= 1
    assert samples["myapp_session_pool_waiting"] == samples["myapp_session_pool_waits_total"] == 0


def test_without_metrics_nothing_is_watched(make: Callable[..., App]) -> None:
    """P1: neither a call nor a thread more than without the feature."""
    app = make({"metrics.listen": "off"})
    assert not {"load", "insert", "sweep"} & vars(app.manager.store).keys()
    assert companions(app) == []
    assert not app.router.registry["myapp.sessions"].is_listened_to


def test_a_read_calls_hardly_more_functions_with_metrics(make: Callable[..., App]) -> None:
    """P1, O6: the clock twice, a note, and the function that does both."""
    calls = []
    for listen in ({}, {"metrics.listen": "off"}):
        app = make(listen, sweep_interval="1d")
        cookie = f"{app.manager.settings.cookie_name}={token_of(app.get('/set'))}"
        calls.append([effort_of(app.router, "/hello", cookie).calls for _ in range(3)][-1])
    assert calls[0] - calls[1] <= 4


def test_with_metrics_pyramid_tells_no_more_events(make: Callable[..., App]) -> None:
    """P1: four at each request would cost more than all counting."""
    assert not make().router.registry.has_listeners


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"metrics.listen": "0.0.0.0:9464"}, "this machine alone, or metrics.public = true"),
        ({"metrics.listen": "[::]:9464"}, "this machine alone, or metrics.public = true"),
        ({"metrics.listen": "192.0.2.1:9464"}, "this machine alone, or metrics.public = true"),
        ({"metrics.listen": "9464"}, "off, or an IP address and a port"),
        ({"metrics.listen": "::1:9464"}, "off, or an IP address and a port"),
        ({"metrics.listen": "127.0.0.1:0"}, "off, or an IP address and a port"),
        ({"metrics.listen": "127.0.0.1:70000"}, "off, or an IP address and a port"),
        ({"metrics.public": "maybe"}, "true or false"),
        ({"metrics.port": "1"}, "a known setting; the nearest is metrics.public"),
    ],
)
def test_a_wrong_setting_is_one_line(
    make: Callable[..., App], settings: dict[str, str], expected: str
) -> None:
    """C2, O6: metrics are never open to the world by mistake."""
    with pytest.raises(SettingError, match=expected):
        make(settings)


def test_they_are_open_to_others_if_that_is_wanted(make: Callable[..., App], port: int) -> None:
    """O6: by a setting of its own."""
    app = make({"metrics.listen": f"0.0.0.0:{port}", "metrics.public": "true"})
    app.get("/set")
    assert shown(port)


def test_a_missing_package_is_one_line(
    make: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2: what is missing, and how to get it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SettingError, match="pip install prometheus-client"):
        make()


def test_a_missing_folder_is_one_line(
    make: Callable[..., App], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """C2: of the processes that are to put their numbers together."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingError, match=r"PROMETHEUS_MULTIPROC_DIR.*a folder to write into"):
        make()


def test_a_port_that_is_taken_is_told_once(
    make: Callable[..., App], port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """O6: with what to do about it, and the application runs."""
    first, second = make(), make()
    first.get("/set")
    shown(port)
    second.get("/set")
    wait_until(lambda: "PROMETHEUS_MULTIPROC_DIR" in caplog.text, "the warning")
    assert second.get("/set").status_code == 200
