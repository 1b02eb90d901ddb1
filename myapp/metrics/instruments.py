"""Every metric, with its labels and its help."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Seconds. The first statements that a user feels are those beyond a tenth."""


class Instruments:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.seconds = Histogram(
            "myapp_session_store_seconds",
            "How long the sessions' store took, including the wait for a connection.",
            ("operation", "transaction"),
            buckets=BUCKETS,
            registry=registry,
        )
        self.failures = Counter(
            "myapp_session_store_failures",
            "Operations of the sessions' store that raised an error.",
            ("operation", "transaction", "error"),
            registry=registry,
        )
        self.events = Counter(
            "myapp_session_events",
            "What happened to sessions.",
            ("manager", "event"),
            registry=registry,
        )
        self.ended = Counter(
            "myapp_session_ended",
            "Sessions that were ended on purpose, by reason.",
            ("manager", "reason"),
            registry=registry,
        )
        self.moved = Counter(
            "myapp_session_moved",
            "Old sessions that were adopted during a move, by their old library.",
            ("manager", "kind"),
            registry=registry,
        )
        self.outage = Gauge(
            "myapp_session_outage",
            "1 while the sessions' database fails in this way.",
            ("trouble",),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.connections = Gauge(
            "myapp_session_pool_connections",
            "Connections to the sessions' database.",
            ("state",),
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.waiting = Gauge(
            "myapp_session_pool_waiting",
            "Threads waiting for a connection to the sessions' database.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.waits = Counter(
            "myapp_session_pool_waits",
            "How often a thread had to wait for a connection to the sessions' database.",
            registry=registry,
        )
        self.swept = Counter(
            "myapp_session_swept_rows",
            "Rows that the sweeper looked at because they were due.",
            registry=registry,
        )
        self.backlog = Gauge(
            "myapp_session_backlog_rows",
            "Rows that wait to be swept; counted once a minute, up to 100,000.",
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
