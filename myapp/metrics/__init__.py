"""Metrics for Prometheus: one feature, joined by one line in `main()`, and off unless it is set.

While it is off nothing is imported, wrapped or counted, so that it costs nothing.
"""

from __future__ import annotations

import os

from pyramid.config import Configurator

from myapp.metrics.settings import read_metric_settings
from myapp.setting_table import note_included


def includeme(config: Configurator) -> None:
    """Count and time what sessions do, and show it at an address of its own.

    Reads the settings `metrics.*`. Raises SettingError for one that can't be used, for an
    address that others can reach unless that is wanted, and where prometheus-client is missing.
    """
    settings = read_metric_settings(config.get_settings(), os.environ)
    note_included(config.registry, "myapp.metrics")
    if settings.listen is None:
        return
    try:
        import prometheus_client as prometheus_client
    except ImportError:
        settings.refuse_listening(
            "off, or prometheus-client installed (pip install prometheus-client)"
        )
    from myapp.metrics.include import include

    include(config, settings)
