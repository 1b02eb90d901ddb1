"""Sweeping: what is deleted, in which process, and that it goes on after trouble (W1)."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType

import pytest

from harness.waiting import wait_until
from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.core.sweep import BATCH, SHARE, TRY_AGAIN, Sweeper, sweep
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import DAY, NOW, a_session, marking
from myapp.sessions.testing.memory_store import MemoryStore
from myapp.sessions.web.headers import REGISTRY_KEY
from tests.sessions.app import create_table, token_of
from tests.sessions.conftest import MakeApp


class Troubled(MemoryStore):
    """A store of which the first sweeps fail."""

    def __init__(self, failures: list[Exception]) -> None:
        super().__init__()
        self.failures = failures

    def sweep(self, now: int, limit: int) -> int:
        if self.failures:
            raise self.failures.pop()
        return super().sweep(now, limit)


@pytest.fixture
def sweepers() -> Iterator[list[Sweeper]]:
    made: list[Sweeper] = []
    yield made
    for sweeper in made:
        sweeper.stop()


def test_a_sweep_goes_on_until_nothing_is_due(sqlite_url: str) -> None:
    """W1: batch by batch."""
    store = SqlStore(sqlite_url)
    dead = [a_session(expires_at=NOW - random.randrange(1000)) for _ in range(25)]
    live = a_session()
    for each in (*dead, live):
        store.insert(each)
    assert list(sweep(store, lambda: NOW, batch=10)) == [10, 10, 5]
    assert [row.digest for row in store.iterate("session")] == [live.digest]
    store.close()


def test_a_marker_is_swept_when_it_expires_or_within_an_hour(sqlite_url: str) -> None:
    """W1, R3: on SQLite it is left where the sweeper finds it, if that is soon enough."""
    store = SqlStore(sqlite_url)
    half_an_hour, minute = 30 * 60_000, 60_000
    soon, late, renewed, signed_in = (
        a_session(expires_at=NOW + lasts) for lasts in (half_an_hour, DAY, half_an_hour, DAY)
    )
    for each in (soon, late, renewed, signed_in):
        store.insert(each)
    store.end([marking(soon), marking(late)])
    for old, handle in ((renewed, renewed.handle), (signed_in, "another")):
        assert store.renew(marking(old, "renewed"), 1, a_session(handle=handle))
    assert [row.handle for row in store.load([renewed.digest, soon.digest])].count(None) == 1
    assert list(sweep(store, lambda: NOW + minute - 1)) == []
    # All that had the same handle was written anew, and so was what would have stayed for long.
    assert list(sweep(store, lambda: NOW + minute)) == [3]
    assert list(sweep(store, lambda: NOW + half_an_hour)) == [1]
    store.close()


def test_the_thread_starts_with_the_first_request(make_app: MakeApp) -> None:
    """W1: not with the application, which a server may load before it forks."""

    def sweepers() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t.name == "session-sweeper"]

    before = len(sweepers())
    app = make_app({"plain": lambda request: ""}, sweep_interval="1h")
    assert len(sweepers()) == before
    app.get("/plain")
    app.get("/plain")
    assert len(sweepers()) == before + 1


def test_the_thread_survives_trouble(sweepers: list[Sweeper]) -> None:
    """W1: the database goes away, or something nobody thought of happens; the next one works."""
    store = Troubled([StoreUnavailable("gone"), RuntimeError("what?")])
    store.insert(a_session(expires_at=NOW))
    sweeper = Sweeper(store, lambda: NOW, interval=10)
    sweepers.append(sweeper)
    sweeper.ensure_running()
    wait_until(lambda: not list(store.iterate("session")), "the row is swept")


class Slow(MemoryStore):
    """A store that never runs out of expired rows, and notes when each batch began and ended."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[float, float]] = []

    def sweep(self, now: int, limit: int) -> int:
        began = time.perf_counter()
        while time.perf_counter() < began + 0.001:
            pass
        self.batches.append((began, time.perf_counter()))
        return limit


def test_the_thread_leaves_nearly_all_of_the_time_to_others(sweepers: list[Sweeper]) -> None:
    """W1: after each small batch it waits many times as long as that took, and so the longer on a
    database that is busy.
    """
    store = Slow()
    sweepers.append(Sweeper(store, lambda: NOW, interval=1))
    sweepers[0].ensure_running()
    wait_until(lambda: len(store.batches) > 4, "some batches")
    for (began, ended), (next_one, _) in pairwise(store.batches):
        assert ended - began <= 1.01 * SHARE * (next_one - began)
    assert BATCH <= 100
    assert SHARE <= 0.01


def test_a_stopped_sweeper_stays_stopped(sweepers: list[Sweeper]) -> None:
    """W1: a clean shutdown waits for a batch at most."""
    sweeper = Sweeper(MemoryStore(), lambda: NOW, interval=1)
    sweepers.append(sweeper)
    sweeper.ensure_running()
    sweeper.stop()
    assert not any(
        thread.name == "session-sweeper" and thread is sweeper.thread and thread.is_alive()
        for thread in threading.enumerate()
    )


def test_who_comes_while_the_thread_starts_waits_for_nobody(
    sweepers: list[Sweeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """L11: under gevent other requests are served while a thread starts; if one waited for a lock
    then, the whole process would.
    """
    sweeper = Sweeper(MemoryStore(), lambda: NOW, interval=3_600_000)
    sweepers.append(sweeper)
    second = threading.Thread(target=sweeper.ensure_running, daemon=True)

    class Slow(threading.Thread):
        def start(self) -> None:
            second.start()
            second.join(timeout=10)
            super().start()

    monkeypatch.setattr(threading, "Thread", Slow)
    sweeper.ensure_running()
    assert not second.is_alive()
    assert sweeper.thread is not None
    assert sweeper.thread.is_alive()


def test_what_replaces_the_primitives_later_is_used(
    sweepers: list[Sweeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """L11: gevent patches a worker after it was forked from where the application was loaded."""
    sweeper = Sweeper(MemoryStore(), lambda: NOW, interval=3_600_000)
    sweepers.append(sweeper)
    made = []

    class Patched(threading.Event):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(threading, "Event", Patched)
    sweeper.ensure_running()
    assert sweeper._runs[os.getpid()].stopped in made


@pytest.fixture
def no_threads() -> Iterator[None]:
    """No thread can be started: each would need more memory than there are addresses."""
    threading.stack_size(1 << 47)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        threading.Thread(target=int).start()
    yield
    threading.stack_size(0)


def test_a_thread_that_can_not_be_started_harms_no_request(
    no_threads: None, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """L11: one line in the log, not one a request; pages and sessions are served."""
    app = make_app(
        {"plain": lambda request: "plain", "set": lambda request: request.session.update(key=1)}
    )
    for _ in range(5):
        assert app.get("/plain").text == "plain"
        assert app.get("/set").status_code == 200
    assert caplog.text.count("this process can't delete expired sessions") == 1
    threading.stack_size(0)
    (sweeper,) = app.router.registry[REGISTRY_KEY].sweepers
    app.get("/plain")
    assert not sweeper.process, "it is not tried again so soon"
    sweeper._not_before -= TRY_AGAIN
    app.get("/plain")
    assert sweeper.thread is not None
    assert sweeper.thread.is_alive()
    assert caplog.text.count("deletes expired sessions again") == 1
    sweeper.stop()


def test_a_forked_child_has_its_own(database_url: str) -> None:
    """L11, W1: sweeper, probe and connections are the parent's, whether Python was told of the fork
    or not; the child makes others, and leaves those alone.
    """
    create_table(database_url)
    # Python 3.12 warns of a fork beside other threads, setuptools 81 of what Pyramid imports.
    ignored = ("ignore:This process:DeprecationWarning", "ignore:pkg_resources:UserWarning")
    quietly = [word for each in ignored for word in ("-W", each)]
    command = [sys.executable, *quietly, "-m", "tests.sessions.forking", database_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_swept_session_is_unknown(make_app: MakeApp) -> None:
    """W1, L3: its token opens nothing, and nothing of it is left."""
    app = make_app({"set": lambda request: request.session.update(key=1)})
    token = token_of(app.get("/set"))
    (row,) = app.rows()
    list(sweep(app.manager.store, lambda: row.expires_at))
    assert app.manager.load(token) is None
    assert app.rows() == []


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({}, 1),
        ({"enable-threads": b"false"}, 1),
        ({"enable-threads": True}, 0),
        ({"threads": b"2"}, 0),
    ],
)
def test_uwsgi_without_threads_is_warned_of_at_the_start(
    make_app: MakeApp,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, object],
    warned: int,
) -> None:
    """W2: once, with what to do; uWSGI tells its options in a module that exists in it alone."""
    uwsgi = ModuleType("uwsgi")
    vars(uwsgi)["opt"] = options
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    app = make_app({"plain": lambda request: ""})
    app.get("/plain")
    assert caplog.text.count("enable-threads = true") == warned
    assert caplog.text.count("myapp-sessions INI sweep") == warned


def test_uwsgi_is_not_warned_of_where_nothing_sweeps(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """W2: a timer does it."""
    uwsgi = ModuleType("uwsgi")
    vars(uwsgi)["opt"] = {}
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    make_app({"plain": lambda request: ""}, sweep_interval="off")
    assert not caplog.text
