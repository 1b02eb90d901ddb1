"""Where the parts of the metrics meet; imported only where prometheus-client is wanted."""

from __future__ import annotations

import os

from pyramid.config import Configurator
from pyramid.events import ApplicationCreated

from myapp.metrics.exporter import Exporter, read_folder
from myapp.metrics.instruments import Instruments
from myapp.metrics.reporter import Reporter
from myapp.metrics.settings import MetricSettings
from myapp.metrics.watching import Watch
from myapp.sessions import SessionEvent
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.sql.store import SqlStore


def include(config: Configurator, settings: MetricSettings) -> None:
    """Measure the sessions of an application, and serve the metrics as the settings say."""
    assert settings.listen is not None
    folder = read_folder(os.environ)
    instruments = Instruments()
    watch = Watch(instruments)
    exporter = Exporter(settings.listen, instruments.registry, folder, watch.add_up)

    def event(event: SessionEvent) -> None:
        watch.event(event)

    def begin(created: ApplicationCreated) -> None:
        sessions = created.app.registry["myapp.sessions"]
        for name in sessions.managers:
            watch.expect(name)
        for store in sessions.stores.values():
            watch.store(store)
        stores = [store for store in sessions.stores.values() if isinstance(store, SqlStore)]
        reporter = Reporter(stores, instruments, exporter, SteadyClock(), watch.add_up)
        sessions.companions.append(reporter)

    config.add_subscriber(event, SessionEvent)
    config.add_subscriber(begin, ApplicationCreated)
