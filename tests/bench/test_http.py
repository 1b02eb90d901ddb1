"""Servers are measured by wrk: what it says is understood, and each server serves the contender."""

import os
import shutil
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.http import one_core, tables
from bench.http.__main__ import CASES, ONE_CORE, ONE_CORE_CASES, SCS, Plan, measure
from bench.http.servers import KINDS, ON_ONE_CORE, Kind, net_http, serving
from bench.http.wrk import CONNECTIONS, parse
from harness.servers.ports import answers
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.waiting import wait_until
from harness.web_servers import children

TINY = Plan(
    kinds=KINDS[:1],
    contenders=("bare", "myapp"),
    databases=("sqlite",),
    rounds=1,
    others=100,
    sessions=50,
)
TINY_ON_ONE_CORE = replace(
    ONE_CORE, kinds=ON_ONE_CORE[-1:], databases=("sqlite",), rounds=1, others=100, sessions=50
)

SAID = """\
  1 threads and 16 connections
Requests/sec:   2000.00
{"requests": 2000, "seconds": 1.000000, "failed": 3, "p50": 6.500000, "p99": 40.900000}
"""
FIGURES = {"rate": 2000.4, "p50": 6.5, "p99": 40.9, "processor": 250.3e-6, "failed": 0}


def a_figure(kind: Kind, case: tuple[str, str, str], **changes: float) -> dict[str, Any]:
    """One, as a run makes it."""
    contender, database, work = case
    named = {"server": kind.name, "workers": kind.workers, "threads": kind.threads}
    what = {"contender": contender, "database": database, "work": work}
    return named | what | FIGURES | changes


def test_the_last_line_of_wrk_is_the_result() -> None:
    """As our script writes it."""
    assert parse(SAID) == {"requests": 2000, "rate": 2000, "p50": 6.5, "p99": 40.9, "failed": 3}


def test_a_server_that_answers_nothing_has_no_figure() -> None:
    """A rate of 0 would be a claim."""
    with pytest.raises(RuntimeError, match="nothing was answered"):
        parse(SAID.replace('"requests": 2000', '"requests": 0'))


def test_a_table_has_a_row_for_each_server_and_a_column_for_each_case() -> None:
    """A figure in the docs comes from a run; what was not measured stays empty."""
    figures = [a_figure(kind, case) for kind in KINDS for case in CASES]
    made = tables({"figures": figures[:-1]})
    head, _, *rows = made["rates"].splitlines()
    assert len(rows) == len(KINDS)
    assert head.startswith("| server | bare Pyramid | myapp, SQLite, read | myapp, SQLite, write |")
    assert rows[0].startswith("| waitress, 4 threads | 2,000 |")
    assert rows[-1].startswith("| granian, 2 processes of 4 threads | 2,000 |")
    assert rows[-1].endswith("|  |")
    assert "| 6.5 / 40.9 |" in made["times"]
    assert "| 250 |" in made["processor"]


def test_failed_requests_are_named() -> None:
    """A server that is fast at errors is not fast."""
    assert tables({"figures": [a_figure(KINDS[0], CASES[0])]})["failed"] == "No request failed."
    made = tables({"figures": [a_figure(KINDS[0], CASES[1], failed=7)]})
    assert "| waitress, 4 threads | myapp, SQLite, read | 7 |" in made["failed"]


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[2], KINDS[5]], ids=lambda kind: kind.name)
def test_a_server_serves_and_is_ended(kind: Kind, tmp_path: Path) -> None:
    """All of its processes have loaded the application when the block begins."""
    with serving(kind, tmp_path, "bare", "") as served:
        assert len(list(tmp_path.glob("loaded-*"))) == kind.workers
        connection = HTTPConnection("127.0.0.1", served.port, timeout=30)
        connection.request("GET", "/plain")
        assert connection.getresponse().read() == b"plain"
        connection.close()
        # To load the application took some.
        assert 0.05 < served.processor_time() < 60
    # The system closes a socket a moment after its process has ended.
    wait_until(lambda: not answers(served.port), "the end of all of them")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """Instead of being waited for."""
    with (
        pytest.raises(RuntimeError, match="waitress did not start") as caught,
        serving(KINDS[0], tmp_path, "nobody", ""),
    ):
        pass
    assert "nobody" in str(caught.value)


def test_sessions_are_measured_through_a_server() -> None:
    """P1: reading and writing, without a failed request."""
    try:
        result = measure(TINY)
    except ServerMissing as missing:
        skip_or_fail(missing)
    assert result["connections"] == CONNECTIONS
    found = [(f["contender"], f["work"]) for f in result["figures"]]
    assert found == [("bare", "read"), ("myapp", "read"), ("myapp", "write")]
    assert all(figure["processor"] < 0.1 for figure in result["figures"])
    assert all(figure["rate"] > 0 and not figure["failed"] for figure in result["figures"])


def test_a_server_has_one_core_with_all_of_its_processes(tmp_path: Path) -> None:
    """So that Go and Python have the same; this process keeps what it had."""
    before = os.sched_getaffinity(0)
    with serving(ON_ONE_CORE[0], tmp_path, "bare", "") as served:
        family = [served.first, *children(served.first)]
        assert len(family) == 2
        assert [len(os.sched_getaffinity(pid)) for pid in family] == [1, 1]
    assert os.sched_getaffinity(0) == before


def test_sessions_on_one_core_are_measured_beside_go() -> None:
    """P1: several and one for all, without a failed request; Go where it can be built."""
    try:
        result = measure(TINY_ON_ONE_CORE)
    except ServerMissing as missing:
        skip_or_fail(missing)
    found = [(f["contender"], f["database"], f["work"]) for f in result["figures"]]
    expected = [case for case in ONE_CORE_CASES if case[1] == "sqlite"]
    if shutil.which("go") is None:
        assert result["skipped"] == [f"{SCS} is left out: go is not installed"]
    if result["skipped"]:
        expected = [case for case in expected if case[0] != SCS]
    assert found == expected
    assert all(figure["rate"] > 0 and not figure["failed"] for figure in result["figures"])


def test_a_table_of_one_core_has_a_row_for_each_contender_in_its_server() -> None:
    """Go's row is named like the others."""
    kinds = {"myapp": ON_ONE_CORE[-1], SCS: net_http("program")}
    figures = [a_figure(kinds[case[0]], case) for case in ONE_CORE_CASES]
    figures[-1]["failed"] = 7
    made = one_core.tables({"figures": figures, "skipped": []})
    head, _, *rows = made["rates"].splitlines()
    assert head.startswith("| server | SQLite, read | SQLite, write | SQLite, read, one session |")
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| myapp, granian, 4 threads", "2,000"],
        ["| Go scs, net/http", "2,000"],
    ]
    assert "| Go scs, net/http | PostgreSQL, write, one session | 7 |" in made["failed"]


def test_the_pages_show_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each table and the picture has its place in one of them."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    about = {"connections": 16, "sessions": 1000, "others": 10_000, "rounds": 3}
    figures = [a_figure(kind, case) for kind in KINDS for case in CASES]
    result = about | {"load_average": [[0.1], [0.2]], "figures": figures}
    report.keep("http", "the command", result)
    beside = [a_figure(ON_ONE_CORE[0], case) for case in ONE_CORE_CASES]
    on_one_core = result | {"figures": beside, "skipped": ["Go scs is left out"]}
    report.keep("one_core", "the command", on_one_core)
    pages = "\n".join(report.render().values())
    assert all(text in pages for text in tables(result).values())
    assert all(text in pages for text in one_core.tables(on_one_core).values())
    assert "http.svg" in pages
