"""Tables of what servers serve on a core of their own, beside Go's.

The result is kept as docs/performance/one_core.json by `make bench/http ARGS=--one-core`.
"""

from __future__ import annotations

from pathlib import Path

from bench.http.report import (
    DATABASES,
    Figure,
    Result,
    failed,
    grid,
    processor,
    rate,
    server_name,
    times,
)


def tables(result: Result) -> dict[str, str]:
    """Markdown by name."""
    figures = result["figures"]
    return {
        "rates": grid(figures, rate, _row, _column),
        "times": grid(figures, times, _row, _column),
        "processor": grid(figures, processor, _row, _column),
        "failed": failed(figures, _row, _column),
        "skipped": "\n".join(f"- {reason}" for reason in result["skipped"]),
    }


def draw(result: Result, folder: Path) -> None:
    """No picture: the tables are small."""


def _row(figure: Figure) -> str:
    return f"{figure['contender']}, {server_name(figure)}"


def _column(figure: Figure) -> str:
    return f"{DATABASES[figure['database']]}, {figure['work']}"
