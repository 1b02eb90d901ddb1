"""Servers are measured by wrk: what it says is understood, and each server serves the contender."""

from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.http import tables
from bench.http.__main__ import CASES, Plan, measure
from bench.http.servers import KINDS, Kind, serving
from bench.http.wrk import CONNECTIONS, parse
from harness.servers.ports import answers
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.waiting import wait_until

TINY = Plan(
    kinds=KINDS[:1],
    contenders=("bare", "myapp"),
    databases=("sqlite",),
    rounds=1,
    others=100,
    sessions=50,
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


def test_the_pages_show_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each table and the picture has its place in one of them."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    about = {"connections": 16, "sessions": 1000, "others": 10_000, "rounds": 3}
    figures = [a_figure(kind, case) for kind in KINDS for case in CASES]
    result = about | {"load_average": [[0.1], [0.2]], "figures": figures}
    report.keep("http", "the command", result)
    pages = "\n".join(report.render().values())
    assert all(text in pages for text in tables(result).values())
    assert "http.svg" in pages
