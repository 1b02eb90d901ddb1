"""Whether the application's database answers, asked with a limit on the time of the one asking.

The question runs in a thread of its own: a host that swallows packets blocks its driver for
minutes, and a health check must not be kept that long.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from threading import Lock, Thread

from sqlalchemy import Engine, select

log = logging.getLogger(__name__)


class DatabaseProbe:
    """Asks the database whether it is there, with at most one question under way."""

    def __init__(self, engine: Engine, patience: float = 2.0) -> None:
        self._engine, self._patience = engine, patience
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
            log.warning("the database does not answer: %s", type(error).__name__)
            return "cannot be reached"
        return None

    def _question(self) -> Future[None]:
        """The question under way, or a new one: a dead host never gathers waiting threads."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                Thread(target=self._ask, args=(self._asked,), daemon=True).start()
            return self._asked

    def _ask(self, answer: Future[None]) -> None:
        """Put the smallest question there is to the database."""
        try:
            with self._engine.connect() as connection:
                connection.execute(select(1))
        except BaseException as error:
            answer.set_exception(error)
        else:
            answer.set_result(None)
