"""Tables and pictures of what servers serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from bench.report import picture, table

Result = dict[str, Any]
Figure = dict[str, Any]
Case = tuple[str, str, str]
Show = Callable[[Figure], str]

_CONTENDERS: Final = {"bare": "bare Pyramid", "myapp": "myapp", "django": "Django"}
DATABASES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# What belongs together is alike: dark for reading, light for writing.
_COLORS: Final = {
    ("bare", "read"): "#888888",
    ("myapp", "read"): "#1f77b4",
    ("myapp", "write"): "#aec7e8",
    ("django", "read"): "#2ca02c",
    ("django", "write"): "#98df8a",
}


def tables(result: Result) -> dict[str, str]:
    """Markdown by name."""
    figures = result["figures"]
    return {
        "rates": grid(figures, rate),
        "ours": grid([f for f in figures if f["contender"] != "django"], rate),
        "times": grid(figures, times),
        "processor": grid(figures, processor),
        "failed": failed(figures),
    }


def draw(result: Result, folder: Path) -> None:
    """The picture, as SVG: a panel for each database, and the bare application in both."""
    databases = list(dict.fromkeys(database for _, database, _ in _cases(result) if database))
    servers = _servers(result)
    size = {"width": 10, "height": 1.2 + 0.8 * len(servers)}
    with picture(folder / "http.svg", panels=max(len(databases), 1), **size) as panels:
        for axes, database in zip(panels, databases, strict=False):
            cases = [case for case in _cases(result) if case[1] in ("", database)]
            _draw_bars(axes, result, servers, cases)
            axes.set_title(DATABASES[database])
            axes.set_xlabel("requests per second")
        handles, labels = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def _draw_bars(axes: Any, result: Result, servers: list[str], cases: list[Case]) -> None:
    height = 0.85 / len(cases)
    for number, case in enumerate(cases):
        places = [place + number * height for place in range(len(servers))]
        rates = [_find(result, server, case).get("rate", 0) for server in servers]
        contender, _, work = case
        label = f"{_CONTENDERS[contender]}, {work}" if case[1] else _CONTENDERS[contender]
        axes.barh(places, rates, height=height, label=label, color=_COLORS[contender, work])
    middle = (len(cases) - 1) * height / 2
    axes.set_yticks([place + middle for place in range(len(servers))], servers)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def rate(figure: Figure) -> str:
    """Requests per second."""
    return f"{figure['rate']:,.0f}"


def times(figure: Figure) -> str:
    """Milliseconds: the median and the 99th percentile."""
    return f"{figure['p50']:.1f} / {figure['p99']:.1f}"


def processor(figure: Figure) -> str:
    """Microseconds of the processor for each request."""
    return f"{figure['processor'] * 1e6:,.0f}"


def _cases(result: Result) -> list[Case]:
    return list(dict.fromkeys(map(_case, result["figures"])))


def _servers(result: Result) -> list[str]:
    return list(dict.fromkeys(map(server_name, result["figures"])))


def _find(result: Result, server: str, case: Case) -> Figure:
    """The figure of a server and a case, empty if there is none."""
    found = (f for f in result["figures"] if (server_name(f), _case(f)) == (server, case))
    return next(found, {})


def _case(figure: Figure) -> Case:
    return figure["contender"], figure["database"], figure["work"]


def server_name(figure: Figure) -> str:
    """A server with its processes and threads, as far as their number is given."""
    workers, threads = figure["workers"], figure["threads"]
    if not threads:
        return str(figure["server"])
    processes = f"{workers} processes of " if workers > 1 else ""
    return f"{figure['server']}, {processes}{threads} thread{'s' * (threads > 1)}"


def case_name(figure: Figure) -> str:
    """What was asked of it."""
    contender, database, work = _case(figure)
    if not database:
        return _CONTENDERS[contender]
    return f"{_CONTENDERS[contender]}, {DATABASES[database]}, {work}"


def grid(
    figures: Iterable[Figure], show: Show, row: Show = server_name, column: Show = case_name
) -> str:
    """Markdown with a cell for each figure; what was not measured stays empty."""
    cells = {(row(figure), column(figure)): show(figure) for figure in figures}
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    lines = [[name, *(cells.get((name, column), "") for column in columns)] for name in rows]
    return table(["server", *columns], lines)


def failed(figures: Iterable[Figure], row: Show = server_name, column: Show = case_name) -> str:
    """The requests that were not answered, or with an error."""
    rows = [[row(f), column(f), f"{f['failed']:,}"] for f in figures if f["failed"]]
    return table(["server", "what", "failed requests"], rows) if rows else "No request failed."
