"""A real Prometheus collects from the real application, and each panel shows something."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.processes import ROOT, Pserve
from harness.servers.ports import LOOPBACK, free_port
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.servers.prometheus import Prometheus, running_prometheus
from harness.waiting import wait_until

PAGE = ROOT / "docs" / "how-to" / "metrics.md"
DASHBOARD = ROOT / "docs" / "monitoring" / "dashboard.json"

# What a quiet site does not have: nothing failed, nobody signed out, and nothing moves in.
MAY_BE_EMPTY = {"Operations that failed", "Ends, by reason", "Old sessions that move in"}


def queries() -> list[tuple[str, str]]:
    """Each panel's title with each of its queries, as Grafana would ask them."""
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    asked = [(panel["title"], each["expr"]) for panel in panels for each in panel["targets"]]
    values = {"$__rate_interval": "1m", "$job": "myapp"}
    for variable, value in values.items():
        asked = [(title, expr.replace(variable, value)) for title, expr in asked]
    return asked


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that knows an application with a few visitors."""
    pytest.importorskip("myapp.trial", reason="no other page changes its session at a click")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    environment = {"METRICS_LISTEN": f"127.0.0.1:{port}"}
    with Pserve(ROOT / "development.ini", folder, environment=environment) as server:
        visit(server)
        try:
            with running_prometheus(folder, port) as prometheus:
                wait_until(lambda: collected(prometheus) >= 2, "two collections")
                yield prometheus
        except ServerMissing as missing:
            skip_or_fail(missing)


def collected(prometheus: Prometheus) -> int:
    (count,) = prometheus.ask("max(count_over_time(myapp_session_backlog_rows[1m]))") or [
        {"value": [0, "0"]}
    ]
    return int(count["value"][1])


def visit(server: Pserve) -> None:
    """Count up on the trial page, as a browser does."""
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Length": "0"}
    with closing(http.client.HTTPConnection(LOOPBACK, server.port, timeout=60)) as connection:
        for _ in range(3):
            connection.request("POST", "/try/count", headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 303, answer.status
            cookie = answer.getheader("Set-Cookie")
            if cookie:
                headers["Cookie"] = cookie.partition(";")[0]


def test_each_panel_shows_something(prometheus: Prometheus, subtests: pytest.Subtests) -> None:
    """O6: its queries are right, and name metrics and labels that there are."""
    for title, query in queries():
        with subtests.test(title):
            found = prometheus.ask(query)
            assert found or title in MAY_BE_EMPTY, query


def test_each_alert_looks_at_something(prometheus: Prometheus, subtests: pytest.Subtests) -> None:
    """O6: an alert upon a metric that is not there would never be raised."""
    (block,) = re.findall(r"```yaml\n(groups:\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (group,) = yaml.safe_load(block)["groups"]
    assert group["rules"]
    for rule in group["rules"]:
        with subtests.test(rule["alert"]):
            looked_at, compared, _ = re.split(r" (==|>=?) (?=[\d.]+\s*$)", rule["expr"])
            assert compared
            assert prometheus.ask(looked_at), rule["expr"]


def test_every_metric_is_on_the_dashboard_and_the_page() -> None:
    """O6: nothing is collected that nobody sees or can look up."""
    from myapp.metrics.instruments import Instruments

    page = Path(ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    for metric in Instruments().registry.collect():
        assert metric.name in DASHBOARD.read_text("utf-8")
        assert f"`{metric.name}" in page
        assert metric.documentation in page
