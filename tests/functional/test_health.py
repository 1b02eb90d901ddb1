"""The address that tells watchers whether the application works."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine, event
from webtest import TestApp

from harness.waiting import wait_until
from myapp.models.probe import DatabaseProbe

HANGS = 10.0
"""Seconds for which a database says nothing."""


def test_a_working_application_is_healthy(testapp: TestApp) -> None:
    """200, never cached, and no session involved."""
    answer = testapp.get("/health")
    assert answer.json == {"status": "ok", "database": "ok", "sessions": "ok"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Vary" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_an_unreachable_database_is_told_without_details(
    app: Any, testapp: TestApp, tmp_path: Path
) -> None:
    """503, with nothing of the address or the driver in it."""
    engine = create_engine(f"sqlite:///{tmp_path / 'nowhere' / 'secret.sqlite'}")
    app.registry["database_probe"] = DatabaseProbe(engine)
    answer = testapp.get("/health", status=503)
    assert answer.json["status"] == "unavailable"
    assert answer.json["database"] == "cannot be reached"
    assert answer.headers["Cache-Control"] == "no-store"


def hanging_engine(released: threading.Event, asked: list[int]) -> Engine:
    """An engine whose database takes connections and then says nothing."""
    engine = create_engine("sqlite://", poolclass=NullPool)

    @event.listens_for(engine, "do_connect")
    def hang(*_: object) -> None:
        asked.append(1)
        released.wait(HANGS)

    return engine


def test_a_silent_database_is_waited_for_only_so_long() -> None:
    """However many ask, one thread waits, and nobody longer than told."""
    released, asked = threading.Event(), list[int]()
    probe = DatabaseProbe(hanging_engine(released, asked), patience=0.05)
    began = time.monotonic()
    assert [probe.trouble() for _ in range(3)] == ["no answer in time"] * 3
    assert time.monotonic() - began < HANGS
    assert asked == [1]
    released.set()


def test_a_database_that_comes_back_is_noticed() -> None:
    """The same probe, asked again, tells the news."""
    released = threading.Event()
    probe = DatabaseProbe(hanging_engine(released, []), patience=0.05)
    assert probe.trouble() == "no answer in time"
    released.set()
    wait_until(lambda: probe.trouble() is None, "the database's answer")
