"""Watches stores and events: what they do is timed and counted, and otherwise goes on as before.

A store is watched by attributes of its own that stand before its methods, so that one that is not
watched has nothing to pass through.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from myapp.metrics.durations import Durations
from myapp.metrics.instruments import Instruments
from myapp.sessions import (
    AmbiguousCookies,
    ChangeDropped,
    ConflictMerged,
    SessionEnded,
    SessionEvent,
    SessionMoved,
    SessionRenewed,
    SessionStarted,
    StoreUnavailable,
    UnknownToken,
    UnreadableSession,
)

WRITES: Final = ("insert", "update", "renew", "end")
OPERATIONS: Final = (*WRITES, "touch", "lock", "sweep")

EVENTS: Final[dict[type[SessionEvent], str]] = {
    SessionStarted: "started",
    SessionRenewed: "renewed",
    ConflictMerged: "conflict_merged",
    ChangeDropped: "change_dropped",
    UnknownToken: "unknown_token",
    AmbiguousCookies: "ambiguous_cookies",
    UnreadableSession: "unreadable",
}
"""What the label `event` says; what ends or moves in has a metric of its own, by
reason or kind."""

SIGNED_IN: Final = "signed_in"


class Watch:
    """Notes in the instruments what it is told of, or has seen."""

    def __init__(self, instruments: Instruments) -> None:
        self._to = instruments
        self._durations: dict[tuple[str, str], Durations] = {}

    def expect(self, manager: str) -> None:
        """Show zeros from the start: Prometheus can't tell how much has grown out of nothing."""
        for event in (*EVENTS.values(), SIGNED_IN):
            self._to.events.labels(manager, event)

    def store(self, store: Any) -> None:
        """Watch a store, and its writers within requests' transactions."""
        self._time(store, OPERATIONS, "own")
        store.load = self._timed_load(store.load)
        store.sweep = self._counting_rows(store.sweep)
        if hasattr(store, "on_join"):
            for operation in WRITES:
                self._noted(operation, "request")
            store.on_join = lambda writer: self._time(writer, WRITES, "request")

    def _time(self, thing: Any, operations: tuple[str, ...], transaction: str) -> None:
        for operation in operations:
            setattr(
                thing, operation, self._timed(getattr(thing, operation), operation, transaction)
            )

    def _timed(self, do: Callable[..., Any], operation: str, transaction: str) -> Any:
        note = self._noted(operation, transaction).note

        def timed(*arguments: Any, **named: Any) -> Any:
            began = perf_counter()
            try:
                answer = do(*arguments, **named)
            except Exception as error:
                self._failed(operation, transaction, error, began)
                raise
            note(perf_counter() - began)
            return answer

        return timed

    def _timed_load(self, load: Callable[[Any], Any]) -> Any:
        """As the others, but for its one argument: every request that reads comes here."""
        note = self._noted("load", "own").note

        def timed(digests: Any) -> Any:
            began = perf_counter()
            try:
                rows = load(digests)
            except Exception as error:
                self._failed("load", "own", error, began)
                raise
            note(perf_counter() - began)
            return rows

        return timed

    def _failed(self, operation: str, transaction: str, error: Exception, began: float) -> None:
        self._to.failures.labels(operation, transaction, type(error).__name__).inc()
        self._noted(operation, transaction).note(perf_counter() - began)

    def _noted(self, operation: str, transaction: str) -> Durations:
        key = operation, transaction
        if key not in self._durations:
            self._durations[key] = Durations(self._to.seconds.labels(*key))
            # A zero from the start, as of events: how most failures of a database are raised.
            self._to.failures.labels(*key, StoreUnavailable.__name__)
        return self._durations[key]

    def add_up(self) -> None:
        """Bring the instruments up to date with what was noted."""
        for durations in self._durations.values():
            durations.add_up()

    def _counting_rows(self, sweep: Callable[..., int]) -> Callable[..., int]:
        def counted(*arguments: Any) -> int:
            rows = sweep(*arguments)
            self._to.swept.inc(rows)
            return rows

        return counted

    def event(self, event: SessionEvent) -> None:
        """Count an event."""
        if isinstance(event, SessionEnded):
            self._to.ended.labels(event.manager, event.reason).inc()
        if isinstance(event, SessionMoved):
            self._to.moved.labels(event.manager, event.kind).inc()
        name = EVENTS.get(type(event))
        if name is not None:
            self._to.events.labels(event.manager, name).inc()
        began = isinstance(event, SessionStarted) and event.user_id is not None
        if began or (isinstance(event, SessionRenewed) and event.signed_in):
            self._to.events.labels(event.manager, SIGNED_IN).inc()
