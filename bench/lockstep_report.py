"""Tables and pictures of what bench.lockstep measured, and the judgement on the targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.report import picture, table
from bench.works import WORKS

Result = dict[str, Any]
Row = dict[str, Any]

NAMES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}
OURS: Final = "myapp"
LIMIT: Final = "LIMIT"
BARE: Final = "bare Pyramid"
GO: Final = "Go scs"
_FIRST: Final = (BARE, LIMIT, "LIMIT, msgspec", OURS)
NOTHING: Final = "–"

# The targets, for each database: at most so many times LIMIT, times bare Pyramid, and microseconds
# over bare Pyramid.
MOST: Final = {
    ("read", "ratio"): 1.1,
    ("write", "ratio"): 1.15,
    ("nested", "ratio"): 1.25,
    ("first", "ratio"): 1.4,
    ("sign-in", "ratio"): 1.3,
    ("sign-out", "ratio"): 1.6,
    ("untouched", "times_bare"): 1.1,
    ("anonymous", "over_bare"): 5.0,
}

COLORS: Final = {"read": "#4477aa", "write": "#ee8866"}


def tables(result: Result) -> dict[str, str]:
    """Markdown by name."""
    return {
        "targets": _targets(result),
        "peers": _peers(result),
        **{f"times_{database}": _times(result, database) for database in NAMES},
        "spread": _spread(result),
        "transactions": _transactions(result),
        "round_trips": _round_trips(result),
        "statements": _statements(result),
        "footprint": _footprint(result),
        "machine": _machine(result),
        "skipped": "\n".join(f"- {reason}" for reason in result["skipped"]),
    }


def draw(result: Result, folder: Path) -> None:
    """The pictures, as SVG."""
    _draw_peers(result, folder / "peers.svg")
    _draw_ratios(result, folder / "ratios.svg")


# What was measured.


def _find(result: Result, database: str, work: str, contender: str) -> Row | None:
    wanted = (database, work, contender)
    rows = result["times"]
    return next((r for r in rows if (r["database"], r["work"], r["contender"]) == wanted), None)


def _databases(result: Result) -> list[str]:
    measured = {row["database"] for row in result["times"]}
    return [database for database in NAMES if database in measured]


def _contenders(rows: Sequence[Row]) -> list[str]:
    """Their names: first those that all the others are compared with."""
    names = list(dict.fromkeys(row["contender"] for row in rows))
    return sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))


# The targets.


def _targets(result: Result) -> str:
    """The targets, and below them what came of each on each database, bold where it is missed."""
    works = [work for work, _ in MOST]
    most = ["at most", *(f"{each:.2f}" for each in MOST.values()), "all"]
    rows = [[NAMES[name], *_judged(result, name)] for name in _databases(result)]
    return table(["", *works, "ahead of Go"], [most, *rows])


def _judged(result: Result, database: str) -> Iterator[str]:
    """Judged by the figures as they are shown."""
    for (work, key), most in MOST.items():
        found = _middle(_find(result, database, work, OURS), key)
        yield NOTHING if found is None else _verdict(f"{found:.2f}", round(found, 2) <= most)
    works = [work for work, key in MOST if key == "ratio"]
    pairs = [[_middle(_find(result, database, w, who), "us") for who in (OURS, GO)] for w in works]
    ahead = [ours < go for ours, go in pairs if ours is not None and go is not None]
    yield _verdict(f"{sum(ahead)} of {len(ahead)}", all(ahead)) if ahead else NOTHING


def _middle(row: Row | None, key: str) -> float | None:
    """The median of what was measured, None where it was not."""
    return None if row is None or key not in row else float(row[key][1])


def _verdict(figure: str, met: bool) -> str:
    return figure if met else f"**{figure}**"


# The tables.


def _peers(result: Result) -> str:
    """Reading and writing on the two databases where most of the peers are."""
    databases = [each for each in ("sqlite", "postgresql") if each in _databases(result)]
    works = ("read", "write")
    shown = [r for r in result["times"] if r["database"] in databases and not r["group"]]
    head = ["µs a request", *(f"{NAMES[d]}, {work}" for d in databases for work in works)]
    rows = [
        [name, *(_cell(_find(result, d, work, name)) for d in databases for work in works)]
        for name in _contenders(shown)
    ]
    return table(head, rows)


def _times(result: Result, database: str) -> str:
    """Every contender at every work on one database."""
    shown = [row for row in result["times"] if row["database"] == database and not row["group"]]
    works = [work for work in WORKS if any(row["work"] == work for row in shown)]
    rows = [
        [name, *(_cell(_find(result, database, work, name)) for work in works)]
        for name in _contenders(shown)
    ]
    return table(["µs (× LIMIT)", *works], rows) if shown else ""


def _cell(row: Row | None) -> str:
    if row is None:
        return NOTHING
    time = _figure(row["us"][1])
    return f"{time} ({row['ratio'][1]:.2f})" if "ratio" in row else time


def _figure(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _spread(result: Result) -> str:
    """myapp beside LIMIT, with the quartiles over the rounds."""
    rows = []
    for work, meaning in WORKS.items():
        cells = [_quartiles(_find(result, database, work, OURS)) for database in _databases(result)]
        if set(cells) != {NOTHING}:
            rows.append([meaning, *cells])
    names = [NAMES[database] for database in _databases(result)]
    return table(["× LIMIT: median (quartiles)", *names], rows)


def _quartiles(row: Row | None) -> str:
    if row is None or "ratio" not in row:
        return NOTHING
    low, middle, high = row["ratio"]
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def _transactions(result: Result) -> str:
    """With pyramid_tm, each beside the LIMIT that has it too."""
    shown = [row for row in result["times"] if row["group"]]
    columns = [(d, work) for d in _databases(result) for work in ("read", "write")]
    head = ["µs (× its LIMIT)", *(f"{NAMES[d]}, {work}" for d, work in columns)]
    rows = [
        [name, *(_cell(_find(result, d, work, name)) for d, work in columns)]
        for name in _contenders(shown)
    ]
    return table(head, rows) if shown else ""


def _round_trips(result: Result) -> str:
    heard = result["round_trips"]
    works = [work for work in WORKS if any(row["work"] == work for row in heard)]
    rows = []
    for database in dict.fromkeys(row["database"] for row in heard):
        here = [row for row in heard if row["database"] == database]
        for name in _contenders(here):
            trips = {r["work"]: r["round_trips"] for r in here if r["contender"] == name}
            cells = [str(trips.get(work, NOTHING)) for work in works]
            rows.append([name, NAMES[database], *cells])
    return table(["round trips", "on", *works], rows, texts=2) if heard else ""


def _statements(result: Result) -> str:
    """What ours asks, in words."""
    ours = [row for row in result["round_trips"] if row["contender"] == OURS]
    databases = list(dict.fromkeys(row["database"] for row in ours))
    rows = []
    for work in dict.fromkeys(row["work"] for row in ours):
        said = {
            row["database"]: ", ".join(row["statements"]) for row in ours if row["work"] == work
        }
        rows.append([WORKS[work], *(said.get(database) or NOTHING for database in databases)])
    return table(["myapp", *(NAMES[database] for database in databases)], rows) if ours else ""


def _footprint(result: Result) -> str:
    found = result["footprint"]
    bare = {r["database"]: r for r in found if r["contender"] == BARE}
    rows = []
    for row in found:
        base = bare.get(row["database"])
        rss, start = row["rss_mib"], row["start_ms"]
        cells = [f"{start:.0f}", _over(start, base and base["start_ms"])]
        cells += [NOTHING if rss is None else f"{rss:.1f}", _over(rss, base and base["rss_mib"])]
        rows.append([row["contender"], NAMES[row["database"]], *cells])
    head = ["process", "on", "start, ms", "over bare", "memory, MiB", "over bare"]
    return table(head, rows, texts=2) if found else ""


def _over(value: float | None, base: float | None) -> str:
    return NOTHING if value is None or base is None else f"{value - base:+.0f}"


def _machine(result: Result) -> str:
    machine = result["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" {machine['system']}",
        f"{result['date']}, commit {result['commit']}, by `{result['command']}`",
        f"{result['rows']:,} sessions of other visitors in each table",
        ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        *result["settings"].values(),
    ]
    return "\n".join(f"- {line}" for line in lines)


# The pictures.


def _draw_peers(result: Result, path: Path) -> None:
    """A point for reading and one for writing, a panel for each database that has peers."""
    databases = [each for each in ("sqlite", "postgresql") if each in _databases(result)]
    with picture(path, width=10, height=5, panels=max(len(databases), 1)) as panels:
        for axes, database in zip(panels, databases, strict=False):
            shown = [r for r in result["times"] if r["database"] == database and not r["group"]]
            names = _contenders(shown)
            _draw_points(axes, result, database, names)
            axes.set_yticks(range(len(names)), names)
            axes.invert_yaxis()
            # The slowest takes a thousand times as long as the fastest.
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.margins(x=0.15)
            axes.set_title(NAMES[database])
            axes.set_xlabel("µs a request, logarithmic")
        _legend(panels[0])


def _draw_points(axes: Any, result: Result, database: str, names: Sequence[str]) -> None:
    for work, above in (("read", True), ("write", False)):
        rows = [(place, _find(result, database, work, name)) for place, name in enumerate(names)]
        found = [(place, row["us"][1]) for place, row in rows if row]
        values, places = [value for _, value in found], [place for place, _ in found]
        axes.plot(values, places, "o", color=COLORS[work], label=work)
        for place, value in found:
            axes.annotate(
                f"{value:,.0f}",
                (value, place),
                xytext=(0, 5 if above else -12),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=COLORS[work],
            )


def _legend(axes: Any) -> None:
    """Above the picture, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))


def _draw_ratios(result: Result, path: Path) -> None:
    """Ours beside LIMIT at every work: a point with its quartiles for each database."""
    databases = _databases(result)
    with picture(path, width=8, height=4.5) as (axes,):
        works = [w for w in WORKS if any(_has_ratio(_find(result, d, w, OURS)) for d in databases)]
        for number, database in enumerate(databases):
            shift = (number - (len(databases) - 1) / 2) * 0.2
            points = [(i, _find(result, database, w, OURS)) for i, w in enumerate(works)]
            found = [(i + shift, row["ratio"]) for i, row in points if row and "ratio" in row]
            middles = [ratio[1] for _, ratio in found]
            below = [ratio[1] - ratio[0] for _, ratio in found]
            above = [ratio[2] - ratio[1] for _, ratio in found]
            places = [place for place, _ in found]
            axes.errorbar(
                middles, places, xerr=[below, above], fmt="o", capsize=3, label=NAMES[database]
            )
        axes.axvline(1, color="#444444", linewidth=1)
        axes.set_yticks(range(len(works)), [WORKS[work] for work in works])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("times LIMIT, the hand-written code on the same database")
        _legend(axes)


def _has_ratio(row: Row | None) -> bool:
    return row is not None and "ratio" in row
