"""Keeps the table in docs/reference/platforms.md: one row for each environment, of its last run."""

import re
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from harness.processes import ROOT

PAGE = ROOT / "docs" / "reference" / "platforms.md"
_TABLE = re.compile(r"(^\|---.*\|\n)((?:^\|.*\|\n)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Row:
    """What one run has shown; `tests` says which part of the suite it was."""

    environment: str
    tests: str
    passed: int
    failed: int
    skipped: int
    date: str

    @classmethod
    def of_results(cls, environment: str, tests: str, results: Path) -> "Row":
        """Read the counts from the JUnit file that pytest wrote; errors count as failures."""
        suites = ElementTree.parse(results).getroot().iter("testsuite")
        counts = [suite.attrib for suite in suites]
        total, errors, failures, skipped = (
            sum(int(count[name]) for count in counts)
            for name in ("tests", "errors", "failures", "skipped")
        )
        failed = errors + failures
        passed = total - failed - skipped
        return cls(environment, tests, passed, failed, skipped, today())


def today() -> str:
    """The date of a run, in UTC."""
    return datetime.now(UTC).date().isoformat()


def keep(row: Row, page: Path = PAGE) -> None:
    """Write the row into the table; it replaces the one of the same environment and tests."""
    cells = [str(cell) for cell in astuple(row)]
    page.write_text(
        _TABLE.sub(lambda table: table[1] + _with(table[2], cells), page.read_text("utf-8"))
    )


def _with(lines: str, cells: list[str]) -> str:
    rows = [line.strip("| ").split(" | ") for line in lines.splitlines()]
    others = [row for row in rows if row[:2] != cells[:2]]
    return "".join(f"| {' | '.join(row)} |\n" for row in sorted([*others, cells]))
