"""Tables and pictures of how sessions grow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.report import picture, table

Result = dict[str, Any]

MOST_BYTES: Final = 1.6
"""Times 500 bytes."""
MOST_TIME: Final = 1.3
"""Times a hot read in the smallest table."""
LEAST_HOT: Final = 0.95
PAYLOAD: Final = 500

_PACES: Final = {
    "alone": "no sweeping",
    "paced": "at the pace of the server's sweeper",
    "full": "without rest",
}


def tables(result: Result) -> dict[str, str]:
    """Markdown by name."""
    return {
        "targets": _targets(result),
        "reads": _reads(result),
        "medians": _medians(result),
        "bytes": _bytes(result),
        "kinds": _kinds(result),
        "weights": _totals(result),
        "places": _places(result),
        "updates": _updates(result),
        "sweep": _sweep(result),
    }


def draw(result: Result, folder: Path) -> None:
    """The pictures, as SVG."""
    _draw_reads(result, folder / "growth-reads.svg")
    _draw_bytes(result, folder / "growth-bytes.svg")


def _targets(result: Result) -> str:
    """What was asked for, and what came of it."""
    head = ["target", "database", "measured", ""]
    rows = [
        [what, name, shown, "met" if met else "**missed**"]
        for name, found in result["databases"].items()
        for what, shown, met in _judged(found)
    ]
    return table(head, rows)


def _judged(found: Result) -> Iterator[tuple[str, str, bool]]:
    for each in found["tables"][1:]:
        ratio = each["hot"]["ratio"]
        what = f"hot read at {each['rows']:,} rows, at most {MOST_TIME} times the smallest table's"
        yield what, f"{ratio:.2f}", ratio <= MOST_TIME
    for kind, weights in found["kinds"].items():
        ratio = sum(weights.values()) / PAYLOAD
        yield f"bytes, at most {MOST_BYTES} times 500: {kind}", f"{ratio:.2f}", ratio <= MOST_BYTES
    if "hour" in found:
        share = found["hour"]["hot"]
        yield f"HOT updates, at least {LEAST_HOT:.0%}", f"{share:.1%}", share >= LEAST_HOT


def _reads(result: Result) -> str:
    head = [
        *("database", "rows", "hot: median µs", "p99 µs", "times smallest"),
        *("any row: median µs", "p99 µs", "times smallest"),
    ]
    rows = [
        [name, f"{each['rows']:,}", *_times(each["hot"]), *_times(each["random"])]
        for name, found in result["databases"].items()
        for each in found["tables"]
    ]
    return table(head, rows)


def _medians(result: Result) -> str:
    """The same in short: a row for each size."""
    databases = result["databases"]
    head = ["sessions", *(f"{name}, {sort}" for name in databases for sort in ("in use", "any"))]
    sizes = zip(*(found["tables"] for found in databases.values()), strict=True)
    rows = [
        [f"{same[0]['rows']:,}", *(f"{e[s]['p50']:.0f}" for e in same for s in ("hot", "random"))]
        for same in sizes
    ]
    return table(head, rows)


def _times(found: Result) -> list[str]:
    return [f"{found['p50']:.0f}", f"{found['p99']:.0f}", f"{found['ratio']:.2f}"]


def _bytes(result: Result) -> str:
    """Of the mix, by the number of rows."""
    parts = _parts(result)
    head = ["database", "rows", *parts, "in all", "times 500"]
    rows = [
        [name, f"{each['rows']:,}", *_weights(each["bytes"], parts)]
        for name, found in result["databases"].items()
        for each in found["tables"]
    ]
    return table(head, rows)


def _kinds(result: Result) -> str:
    """Of tables that hold one kind of session alone."""
    parts = _parts(result)
    head = ["session", "database", *parts, "in all", "times 500"]
    rows = [
        [kind, name, *_weights(weights, parts)]
        for name, found in result["databases"].items()
        for kind, weights in found["kinds"].items()
    ]
    return table(head, rows)


def _totals(result: Result) -> str:
    """The same in short: bytes in all of the session that the other benchmarks have."""
    databases = result["databases"]
    kinds = dict.fromkeys(
        kind for found in databases.values() for kind in found["kinds"] if "JSON" in kind
    )
    rows = [
        [kind, *(f"{sum(found['kinds'][kind].values()):.0f}" for found in databases.values())]
        for kind in kinds
    ]
    return table(["session", *databases], rows)


def _places(result: Result) -> str:
    """The databases, and how they were set up."""
    rows = [
        [f"{name} {found['version']}", found["setup"]]
        for name, found in result["databases"].items()
    ] + [[name, f"left out: {reason}"] for name, reason in result["missing"].items()]
    return table(["database", "settings"], rows)


def _parts(result: Result) -> list[str]:
    """The table, and then its indexes, the unique ones first."""
    databases = result["databases"].values()
    found = {part for each in databases for weights in each["kinds"].values() for part in weights}
    order = ("sessions", "pk_", "uq_", "ix_")
    return sorted(found, key=lambda part: ([part.startswith(word) for word in order][::-1], part))


def _weights(weights: dict[str, float], parts: list[str]) -> list[str]:
    total = sum(weights.values())
    each = [f"{weights[part]:.0f}" if part in weights else "" for part in parts]
    return [*each, f"{total:.0f}", f"{total / PAYLOAD:.2f}"]


def _updates(result: Result) -> str:
    head = ["rows", "in use", "updates", "HOT", "bytes of log an update"]
    rows = [
        [
            f"{hour['rows']:,}",
            f"{hour['active']:,}",
            f"{hour['updates']:,}",
            f"{hour['hot']:.1%}",
            f"{hour['log']:.0f}",
        ]
        for found in result["databases"].values()
        if (hour := found.get("hour"))
    ]
    return table(head, rows)


def _sweep(result: Result) -> str:
    head = ["database", "sweeping", "rows swept", "rows/s", "hot read: median µs", "p99 µs"]
    rows = [
        [name, text, *_swept(found["sweep"][pace])]
        for name, found in result["databases"].items()
        for pace, text in _PACES.items()
    ]
    return table(head, rows)


def _swept(found: Result) -> list[str]:
    reads = found.get("reads", found)
    counts = [f"{found['swept']:,}", f"{found['rate']:,.0f}"] if "swept" in found else ["", ""]
    return [*counts, f"{reads['p50']:.0f}", f"{reads['p99']:.0f}"]


def _draw_reads(result: Result, path: Path) -> None:
    with picture(path) as (axes,):
        for number, (name, found) in enumerate(result["databases"].items()):
            rows = [each["rows"] for each in found["tables"]]
            for sort, line, label in (("hot", "-", "in use"), ("random", "--", "any row")):
                medians = [each[sort]["p50"] for each in found["tables"]]
                axes.plot(
                    rows, medians, line, color=f"C{number}", marker="o", label=f"{name}, {label}"
                )
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("sessions in the table")
        axes.set_ylabel("median of a read, µs")
        axes.legend()


def _draw_bytes(result: Result, path: Path) -> None:
    parts = _parts(result)
    bars = [
        (f"{name}\n{kind}".replace(", ", ",\n", 1), weights)
        for name, found in result["databases"].items()
        for kind, weights in found["kinds"].items()
    ]
    names = [name for name, _ in bars]
    with picture(path, height=1 + 0.6 * len(bars)) as (axes,):
        left = [0.0] * len(bars)
        for part in parts:
            widths = [weights.get(part, 0) for _, weights in bars]
            axes.barh(names, widths, left=left, label=part)
            left = [one + other for one, other in zip(left, widths, strict=True)]
        axes.axvline(MOST_BYTES * PAYLOAD, color="black", linestyle=":", linewidth=1)
        axes.invert_yaxis()
        axes.set_xlabel(f"bytes a session; dotted: {MOST_BYTES} times {PAYLOAD}")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
