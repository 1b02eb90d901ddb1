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
from tests.sessions.moving import SIGNED, holding, old_cookies

PAGE = ROOT / "docs" / "how-to" / "metrics.md"
DASHBOARD = ROOT / "docs" / "monitoring" / "dashboard.json"

# A site during a move, so that each of its metrics is there.
MOVING = {"pyramid.includes": "myapp.sessions myapp.sessions.moving"} | SIGNED

# Of those that Grafana knows; another word would stand beside each number as it is.
UNITS = {"short", "ops", "s"}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def queries() -> list[tuple[str, str, str]]:
    """Each panel's title with each of its queries, as Grafana would ask them, and its legend."""
    asked = []
    for panel in dashboard()["panels"]:
        for each in panel["targets"]:
            query = each["expr"].replace("$__rate_interval", "1m").replace("$job", "myapp")
            asked.append((panel["title"], query, each["legendFormat"]))
    return asked


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that knows an application with a few visitors, one of whom had an old session."""
    pytest.importorskip("myapp.trial", reason="no other page changes its session at a click")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    environment = {"METRICS_LISTEN": f"127.0.0.1:{port}"}
    moving = [f"{name}={value}" for name, value in MOVING.items()]
    with Pserve(ROOT / "development.ini", folder, *moving, environment=environment) as server:
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
    """Count up on the trial page and leave, as a browser does that comes with an old session."""
    headers = {"Cookie": old_cookies(holding({"cart": [1]}))}
    with closing(http.client.HTTPConnection(LOOPBACK, server.port, timeout=60)) as connection:
        for path in ("/try/count", "/try/count", "/try/count", "/try/forget"):
            form = {"Sec-Fetch-Site": "same-origin", "Content-Length": "0"}
            connection.request("POST", path, headers=headers | form)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 303, answer.status
            for cookie in answer.headers.get_all("Set-Cookie", ()):
                if "Max-Age=0" not in cookie:
                    headers = {"Cookie": cookie.partition(";")[0]}


def test_each_panel_shows_something(prometheus: Prometheus, subtests: pytest.Subtests) -> None:
    """O6: its queries are right, and name metrics and labels that there are, in legends too."""
    for title, query, legend in queries():
        with subtests.test(title):
            found = prometheus.ask(query)
            assert found, query
            labels = set(re.findall(r"{{(\w+)}}", legend))
            assert all(labels <= each["metric"].keys() for each in found), legend


def test_the_list_of_jobs_is_not_empty(prometheus: Prometheus) -> None:
    """O6: without one, no panel asks for anything."""
    (job,) = [each for each in dashboard()["templating"]["list"] if each["name"] == "job"]
    (metric,) = re.findall(r"label_values\((\w+), job\)", job["query"]["query"])
    assert [each["metric"]["job"] for each in prometheus.ask(f"group by (job) ({metric})")] == [
        "myapp"
    ]


def test_grafana_can_import_the_dashboard() -> None:
    """O6: as far as that can be told without one: no Grafana can be installed for the tests."""
    whole = dashboard()
    assert "id" not in whole, "that of another Grafana's database"
    assert re.fullmatch(r"[\w-]{1,40}", whole["uid"])
    assert whole["schemaVersion"] >= 39
    panels = whole["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] == "timeseries"
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        references = [each["refId"] for each in panel["targets"]]
        assert len({*references}) == len(references)
    covered = [place for panel in panels for place in _squares(panel["gridPos"])]
    assert len({*covered}) == len(covered), "one panel lies upon another"
    assert {x for x, _ in covered} <= {*range(24)}


def _squares(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


def test_every_variable_of_the_dashboard_is_its_own() -> None:
    """O6: no data source of somebody else's Grafana is asked, by whatever name it has there."""
    variables = {each["name"]: each["type"] for each in dashboard()["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query"}
    text = DASHBOARD.read_text("utf-8")
    used = {*re.findall(r"\$\{?(\w+)", text)}
    assert used - {"__rate_interval"} == {*variables}
    assert {*re.findall(r'"uid": "(.*?)"', text)} == {"${datasource}", "myapp-sessions"}


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
