"""Visitors at a steady pace, for the tests: `python -m tests.serving.visitors URL RESULT SECONDS`.

Several threads open, change, renew and begin sessions through one manager, each visitor those of
his own, and check that each holds what he put there. After so many seconds, or at SIGTERM, the
result is written: every complaint, and when each visit began and how long it took.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final

from sqlalchemy import update

from myapp.sessions import SessionManager
from myapp.sessions.core.token import digest
from myapp.sessions.sql.model import table
from myapp.sessions.sql.store import SqlStore
from tests.serving.crowd import IDLE_TIMEOUT, manager_of

VISITORS: Final = 4
SESSIONS: Final = 50
"""So many has each visitor at first."""
PACE: Final = 0.04
"""Seconds from one visit's beginning to the next one's: the database is busy, and no more."""


class Visitor:
    """Knows his sessions by their tokens, and how far each has counted."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._counted: dict[str, int] = {}
        self.visits: list[tuple[float, float]] = []
        self.complaints: list[str] = []
        for _ in range(SESSIONS):
            self._begin()

    def visit_until(self, stop: threading.Event) -> None:
        """One visit after the other, each at its time even if the last one was late."""
        due = time.monotonic()
        while not stop.wait(max(0, due - time.monotonic())):
            began = time.monotonic()
            try:
                self._visit()
            except Exception as error:
                self.complaints.append(f"{type(error).__name__}: {error}")
            self.visits.append((began, time.monotonic() - began))
            due += PACE

    def _visit(self) -> None:
        token = random.choice(list(self._counted))
        what = random.random()
        if what < 0.6:
            self._count(token, 0)
        elif what < 0.85:
            self._count(token, 1)
        elif what < 0.95:
            self._renew(token)
        else:
            self._begin()

    def _count(self, token: str, by: int) -> None:
        """Look, which touches the session now and then, or count on."""
        with self._manager.session(token) as session:
            self._check(token, session.get("counter"))
            if by:
                session["counter"] = self._counted[token] + by
        self._counted[token] += by

    def _renew(self, token: str) -> None:
        with self._manager.session(token) as session:
            self._check(token, session.get("counter"))
            session.renew()
        self._counted[session.token] = self._counted.pop(token)

    def _begin(self) -> None:
        with self._manager.session() as session:
            session["counter"] = 0
        self._counted[session.token] = 0
        self._let_the_sweeper_look(session.token)

    def _let_the_sweeper_look(self, token: str) -> None:
        """As of a session that was touched since: the sweeper meets it while it is in use."""
        store = self._manager.store
        assert isinstance(store, SqlStore)
        due = update(table).where(table.c.digest == digest(self._manager.name, token))
        with store.engine.connect() as connection:
            connection.execute(due.values(sweep_at=self._manager.kind.clock() - IDLE_TIMEOUT))

    def _check(self, token: str, counter: object) -> None:
        if counter != self._counted[token]:
            raise LookupError(f"a session counts {counter}, and not {self._counted[token]}")

    def check_all(self) -> None:
        """Look at each session once more, when all is over."""
        for token, counted in self._counted.items():
            session = self._manager.load(token)
            if session is None or session.get("counter") != counted:
                self.complaints.append("a visitor's session was lost")


def main(url: str, result: Path, seconds: float) -> None:
    """Visit until the time is over."""
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    manager = manager_of(url)
    visitors = [Visitor(manager) for _ in range(VISITORS)]
    threads = [threading.Thread(target=each.visit_until, args=(stop,)) for each in visitors]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    for each in visitors:
        each.check_all()
    manager.store.close()
    complaints = [text for each in visitors for text in each.complaints]
    visits = [visit for each in visitors for visit in each.visits]
    # Whoever waits for the file must not read half of it.
    partly = result.with_suffix(".partly")
    partly.write_text(json.dumps({"complaints": complaints, "visits": visits}))
    partly.rename(result)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
