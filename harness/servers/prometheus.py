"""A Prometheus that collects from one address every moment, to ask it what a dashboard asks."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from harness.servers.ports import free_port
from harness.servers.process import Child
from harness.servers.programs import PROMETHEUS
from harness.waiting import wait_until

_CONF: Final = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: myapp
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus:
    """What can be asked of it."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    @property
    def is_ready(self) -> bool:
        """Whether it answers queries by now."""
        try:
            urllib.request.urlopen(f"{self._url}/-/ready", timeout=30).close()
        except OSError:
            return False
        return True

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of a query, now. Raises urllib.error.HTTPError for one that is wrong."""
        words = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self._url}/api/v1/query?{words}", timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found


@contextmanager
def running_prometheus(folder: Path, target: int) -> Iterator[Prometheus]:
    """One that collects from this port of this machine. Raises ServerMissing."""
    program, port = PROMETHEUS.find(), free_port()
    conf = folder / "prometheus.yml"
    conf.write_text(_CONF.format(port=target))
    child = Child(
        [
            program,
            f"--config.file={conf}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        log=folder / "prometheus.log",
        folder=folder,
    )
    try:
        prometheus = Prometheus(port)
        wait_until(lambda: not child.running or prometheus.is_ready, "Prometheus")
        assert child.running, child.output()
        yield prometheus
    finally:
        child.stop()
