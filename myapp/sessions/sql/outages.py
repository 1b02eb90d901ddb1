"""Logs when something begins to fail and when it works again, but nothing in between (L8)."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from typing import Final, Literal

from myapp.sessions.core.errors import StoreUnavailable

log = logging.getLogger(__name__)

Trouble = Literal["connecting", "waiting", "writing"]

_BEGIN: Final = {
    "connecting": "sessions can't be read or written: %s",
    "waiting": "sessions time out waiting for a connection: %s",
    "writing": "sessions can't be written: %s",
}
_END: Final = {
    "connecting": "sessions can be read and written again, after %.1f s; %d requests were refused",
    "waiting": "sessions get connections again, after %.1f s; %d requests were refused",
    "writing": "sessions can be written again, after %.1f s; %d requests were refused",
}

QUIET: Final = 5.0
"""Seconds without a failure after which what comes and goes is over."""


class Outage:
    """Something that fails for a while."""

    __slots__ = ("_count", "began", "last", "recurred", "refused")

    def __init__(self, began: float) -> None:
        self.began = self.last = began
        self.recurred = False
        self.refused = 0
        self._count = itertools.count(1)

    def count(self, now: float) -> None:
        """One request more was refused."""
        self.last, self.refused = now, next(self._count)


class Outages:
    """The outages of one store. Safe for threads and interrupts: each step is one operation."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.under_way: dict[Trouble, Outage] = {}
        self._over: dict[Trouble, Outage] = {}

    def refused(self, what: Trouble, reason: str, retry_after: int = 1) -> StoreUnavailable:
        """Note that a request can't be served; the error to raise."""
        now = self._monotonic()
        outage = self.under_way.get(what) or self._begin(what, reason, now)
        outage.count(now)
        return StoreUnavailable(reason, retry_after)

    def _begin(self, what: Trouble, reason: str, now: float) -> Outage:
        before = self._over.pop(what, None)
        if before is not None and now - before.last < QUIET:
            # It comes and goes: a line each time would be a line a request.
            before.recurred = True
            return self.under_way.setdefault(what, before)
        new = Outage(now)
        outage = self.under_way.setdefault(what, new)
        if outage is new:
            log.error(_BEGIN[what], reason, extra={"trouble": what, "reason": reason})
        return outage

    def works(self, *what: Trouble) -> None:
        """Note that some things went well."""
        for each in what:
            outage = self.under_way.get(each)
            if outage is not None and not self._may_recur(outage):
                self._end(each)

    def _may_recur(self, outage: Outage) -> bool:
        return outage.recurred and self._monotonic() - outage.last < QUIET

    def _end(self, what: Trouble) -> None:
        outage = self.under_way.pop(what, None)
        if outage is not None:
            self._over[what] = outage
            seconds = self._monotonic() - outage.began
            fields = {"trouble": what, "seconds": round(seconds, 1), "refused": outage.refused}
            log.warning(_END[what], seconds, outage.refused, extra=fields)
