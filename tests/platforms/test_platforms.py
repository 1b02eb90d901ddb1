"""The tests of the runs elsewhere: what they install, and what they keep."""

import re
import sys
from pathlib import Path

from harness.processes import ROOT
from tests.platforms import bounds, pythons
from tests.platforms.environments import Environment
from tests.platforms.report import Row, keep

PAGE = ROOT / "docs" / "reference" / "platforms.md"
# As pytest writes it of two subtests that passed, and of a test that failed twice.
RESULTS = """<testsuites><testsuite tests="8" errors="2" failures="2" skipped="1">
<testcase classname="t" name="subtests" /><testcase classname="t" name="passed" />
<testcase classname="t" name="passed[2]" />
<testcase classname="t" name="skipped"><skipped /></testcase>
<testcase classname="t" name="failed"><failure /><failure /></testcase>
<testcase classname="t" name="twice"><failure /></testcase>
<testcase classname="t" name="twice"><error /></testcase>
</testsuite></testsuites>"""


def test_every_lower_bound_is_tried() -> None:
    """As setup.cfg has it, and a requirement without one is left to pip."""
    lowest = dict(line.split("==") for line in bounds.lowest())
    bounded = re.findall(
        r"^ +([\w.-]+)[\w\[\]]* >=([\d.]+)", (ROOT / "setup.cfg").read_text("utf-8"), re.M
    )
    assert lowest == dict(bounded)
    assert {"SQLAlchemy", "psycopg", "granian"} <= lowest.keys()


def test_the_python_of_the_tests_is_found_or_a_newer_one_of_its_version() -> None:
    """Each version once, none older than the project runs on."""
    found = pythons.found()
    assert found
    assert min(found) >= pythons.OLDEST


def test_a_run_replaces_its_own_row_and_no_other(tmp_path: Path) -> None:
    """The table stands where it stood, sorted; what is around it stays."""
    page = tmp_path / "page.md"
    before, rule, _ = PAGE.read_text("utf-8").partition("---|\n")
    page.write_text(f"{before}{rule}\nThe end.\n")
    results = tmp_path / "results.xml"
    results.write_text(RESULTS)
    for environment, tests in (("B", "all"), ("A", "all"), ("A", "`-k x`"), ("A", "all")):
        keep(Row.of_results(environment, tests, results), page)
    keep(Row("B", "all", 9, 0, 0, "2026-01-02"), page)
    rows = [line for line in page.read_text().splitlines() if line.startswith(("| A", "| B"))]
    assert [row.split(" | ")[:5] for row in rows] == [
        ["| A", "`-k x`", "3", "2", "1"],
        ["| A", "all", "3", "2", "1"],
        ["| B", "all", "9", "0", "0"],
    ]
    assert page.read_text().endswith("\nThe end.\n")


def test_a_run_that_found_no_tests_keeps_no_row(tmp_path: Path) -> None:
    """A file that was renamed is no platform where nothing failed."""
    (tmp_path / "bin").mkdir()
    # A link would not find the packages beside the interpreter.
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    before = PAGE.read_text("utf-8")
    environment = Environment(folder=tmp_path)
    assert not environment.test("nowhere", tests=["-n", "0", "tests/no_such_file.py"])
    assert PAGE.read_text("utf-8") == before
