"""Whether the application's database answers, asked with a limit on the time of the one asking.

The question runs in a thread of its own: a host that swallows packets blocks its driver for
minutes, and a health check must not be kept that long.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from os import getpid

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

log = logging.getLogger(__name__)


class Probe:
    """Asks something, with at most one question under way in a process; `words` tell that it went
    wrong.
    """

    def __init__(self, ask: Callable[[], object], words: str, patience: float = 2.0) -> None:
        self._ask, self._words, self._patience = ask, words, patience
        self._asked: dict[int, Future[None]] = {}
        self._told: str | None = None

    def trouble(self) -> str | None:
        """What is wrong in a few words that give nothing away; None where all is well."""
        try:
            self._question().result(self._patience)
        except TimeoutError:
            return self._tell("no answer in time", "no answer in time")
        except Exception as error:
            # The message of a driver may name hosts and users: the log gets its class alone.
            return self._tell(self._words, f"{self._words}, {type(error).__name__}")
        return self._tell(None, "all is well again")

    def _tell(self, trouble: str | None, words: str) -> str | None:
        """Tell the log what is new: those who watch ask every few seconds."""
        if trouble != self._told:
            self._told = trouble
            log.warning("health check: %s", words)
        return trouble

    def _question(self) -> Future[None]:
        """The question under way, or a new one: a dead host never gathers waiting threads."""
        # A child has its own, for its parent's thread is not there. No lock is held while a thread
        # starts, and both are made here, see `myapp.sessions.core.sweep`.
        process, question = getpid(), Future[None]()
        try:
            asked = self._asked.setdefault(process, question)
            if asked is question:
                threading.Thread(target=self._put, args=(process, question), daemon=True).start()
            return asked
        except BaseException as error:
            self._asked.pop(process, None)
            if not question.done():
                question.set_exception(error)
            raise

    def _put(self, process: int, question: Future[None]) -> None:
        try:
            self._ask()
        except BaseException as error:
            self._asked.pop(process, None)
            question.set_exception(error)
        else:
            self._asked.pop(process, None)
            question.set_result(None)


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
