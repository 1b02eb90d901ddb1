"""The thread of each process that sends mails, and tidies up once an hour.

It starts with the first request of its process, as the sweeper of sessions does and for the same
reasons (see `myapp.sessions.core.sweep`): a server that loads the application and then forks has
senders in its workers alone.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import DBAPIError

from myapp.accounts.housekeeping import tidy
from myapp.accounts.mail import Transport
from myapp.accounts.outbox import Sender
from myapp.sessions.core.fork import process_id
from myapp.sessions.core.lifetime import MINUTE

log = logging.getLogger(__name__)

POLL: Final = 5.0
"""Seconds between two looks for other processes' messages, and for messages that are due again."""
TIDY_EVERY: Final = 60 * MINUTE

TRY_AGAIN: Final = 60
"""Seconds to wait after a thread could not be started."""


class _Run:
    """The thread of one process, the word to look at once, and the word to end."""

    def __init__(self, work: Callable[[_Run], None]) -> None:
        # Made in the process that uses them: gevent may replace them in a worker just forked.
        self.wake, self.is_stopped = threading.Event(), False
        self.thread = threading.Thread(
            target=work, args=(self,), name="session-mailer", daemon=True
        )


class Mailer:
    """Sends what is due, soon after it was committed here and every few seconds anyway."""

    def __init__(self, sender: Sender, poll: float = POLL) -> None:
        self.sender, self._poll = sender, poll
        self._runs: dict[int, _Run] = {}
        self._is_stopped, self._is_troubled = False, False
        self._not_before = 0.0
        self._tidy_at = 0
        self.process = 0
        """The process in which its thread runs; read at each request, so not a property."""

    @property
    def transport(self) -> Transport:
        """The way in which mails leave."""
        return self.sender.transport

    def ensure_running(self) -> None:
        """Start the thread of this process if there is none yet. Never raises: the request
        must not suffer.
        """
        process = process_id()
        if self._is_stopped or process in self._runs or time.monotonic() < self._not_before:
            return
        run = _Run(self._work)
        try:
            # One of those who come at once starts it; no lock is held meanwhile.
            if self._runs.setdefault(process, run) is run:
                run.thread.start()
                self.process, self._not_before = process, 0.0
        except BaseException as error:
            self._runs.pop(process, None)
            if not isinstance(error, Exception):
                raise
            self._put_off(error)

    def _put_off(self, error: Exception) -> None:
        """Try again later, and not at each request."""
        log.warning("this process can't send mails: %s; trying again in %d s", error, TRY_AGAIN)
        self._not_before = time.monotonic() + TRY_AGAIN

    def wake(self) -> None:
        """Look at once: something was committed."""
        run = self._runs.get(process_id())
        if run is not None:
            run.wake.set()

    def stop(self) -> None:
        """Stop for good; returns when the thread has ended, or after a second if it is sending."""
        self._is_stopped = True
        run = self._runs.get(process_id())
        if run is not None:
            run.is_stopped = True
            run.wake.set()
            run.thread.join(timeout=1)

    def _work(self, run: _Run) -> None:
        # The system's randomness, since the application may have seeded `random`. Processes that
        # were started together don't ask the database together.
        dice = random.SystemRandom()
        while True:
            run.wake.wait(self._poll * dice.uniform(0.5, 1.5))
            run.wake.clear()
            if run.is_stopped:
                return
            self._look(run)

    def _look(self, run: _Run) -> None:
        try:
            while self.sender.send_due() and not run.is_stopped:
                pass
            self._tidy()
        except DBAPIError as error:
            self._tell_once(error)
        except Exception:
            log.exception("sending mails failed; trying again")
        else:
            self._is_troubled = False

    def _tidy(self) -> None:
        now = self.sender.clock()
        # It goes on even if the clock was ahead and is set back.
        if self._tidy_at - TIDY_EVERY <= now < self._tidy_at:
            return
        self._tidy_at = now + TIDY_EVERY
        tidy(self.sender.engine, now, self.sender.settings.history)

    def _tell_once(self, error: DBAPIError) -> None:
        """Say that the database does not answer; not again at each look until it has."""
        if not self._is_troubled:
            log.warning("mails have to wait: the database raised %s", type(error.orig).__name__)
        self._is_troubled = True
