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
        """Count the tests in the JUnit file that pytest wrote; an error counts as a failure.

        The counts in the file's own attributes include the subtests that passed, which pytest's
        last line counts separately.
        """
        outcomes: dict[tuple[str, str], set[str]] = {}
        for case in ElementTree.parse(results).getroot().iter("testcase"):
            # A test that failed and then failed again at its end has two entries.
            test = case.attrib["classname"], case.attrib["name"]
            outcomes.setdefault(test, set()).update(outcome.tag for outcome in case)
        tags = outcomes.values()
        failed = sum(bool(tag & {"failure", "error"}) for tag in tags)
        skipped = sum("skipped" in tag for tag in tags)
        return cls(environment, tests, len(outcomes) - failed - skipped, failed, skipped, today())


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
