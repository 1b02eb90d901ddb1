"""Whether the application's database answers, asked with a limit on the time of the one asking.

The question runs in a thread of its own: a host that swallows packets blocks its driver for
minutes, and a health check must not be kept that long.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

log = logging.getLogger(__name__)


class Probe:
    """Asks something, with at most one question under way; `words` tell that it went wrong."""

    def __init__(self, ask: Callable[[], object], words: str, patience: float = 2.0) -> None:
        self._ask, self._words, self._patience = ask, words, patience
        self._lock = Lock()
        self._asked: Future[None] | None = None

    def trouble(self) -> str | None:
        """What is wrong in a few words that give nothing away; None where all is well."""
        try:
            self._question().result(self._patience)
        except TimeoutError:
            return "no answer in time"
        except Exception as error:
            # The message of a driver may name hosts and users: the log gets its class alone.
            log.warning("asked for its health: %s, %s", self._words, type(error).__name__)
            return self._words
        return None

    def _question(self) -> Future[None]:
        """The question under way, or a new one: a dead host never gathers waiting threads."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                Thread(target=self._put, args=(self._asked,), daemon=True).start()
            return self._asked

    def _put(self, answer: Future[None]) -> None:
        try:
            self._ask()
        except BaseException as error:
            answer.set_exception(error)
        else:
            answer.set_result(None)


class DatabaseProbe(Probe):
    """Asks the database whether it is there."""

    def __init__(self, engine: Engine, patience: float = 2.0) -> None:
        super().__init__(self._select, "cannot be reached", patience)
        self._engine = engine

    def _select(self) -> None:
        """Put the smallest question there is; to another connection where the pool's was dead."""
        try:
            self._select_once()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self._select_once()

    def _select_once(self) -> None:
        with self._engine.connect() as connection:
            connection.execute(select(1))
