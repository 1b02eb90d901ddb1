"""Tables and pictures of what servers serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.report import picture, table

Result = dict[str, Any]
Figure = dict[str, Any]
Case = tuple[str, str, str]

_CONTENDERS: Final = {"bare": "bare Pyramid", "myapp": "myapp", "django": "Django"}
_DATABASES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
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
    return {
        "rates": _grid(result, _rate),
        "ours": _grid(result, _rate, [c for c in _cases(result) if c[0] != "django"]),
        "times": _grid(result, lambda figure: f"{figure['p50']:.1f} / {figure['p99']:.1f}"),
        "processor": _grid(result, lambda figure: f"{figure['processor'] * 1e6:,.0f}"),
        "failed": _failed(result),
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
            axes.set_title(_DATABASES[database])
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


def _rate(figure: Figure) -> str:
    return f"{figure['rate']:,.0f}"


def _grid(
    result: Result, show: Callable[[Figure], str], cases: Sequence[Case] | None = None
) -> str:
    """A row for each server, a column for each case; every one, unless some are named."""
    cases = _cases(result) if cases is None else cases
    rows = []
    for server in _servers(result):
        found = [_find(result, server, case) for case in cases]
        rows.append([server, *(show(figure) if figure else "" for figure in found)])
    return table(["server", *map(_name, cases)], rows)


def _failed(result: Result) -> str:
    """The requests that were not answered, or with an error."""
    head = ["server", "what", "failed requests"]
    failures = [figure for figure in result["figures"] if figure["failed"]]
    rows = [[_server(f), _name(_case(f)), f"{f['failed']:,}"] for f in failures]
    return table(head, rows) if rows else "No request failed."


def _cases(result: Result) -> list[Case]:
    return list(dict.fromkeys(map(_case, result["figures"])))


def _servers(result: Result) -> list[str]:
    return list(dict.fromkeys(map(_server, result["figures"])))


def _find(result: Result, server: str, case: Case) -> Figure:
    """The figure of a server and a case, empty if there is none."""
    found = (f for f in result["figures"] if (_server(f), _case(f)) == (server, case))
    return next(found, {})


def _case(figure: Figure) -> Case:
    return figure["contender"], figure["database"], figure["work"]


def _server(figure: Figure) -> str:
    workers, threads = figure["workers"], figure["threads"]
    processes = f"{workers} processes of " if workers > 1 else ""
    return f"{figure['server']}, {processes}{threads} thread{'s' * (threads > 1)}"


def _name(case: Case) -> str:
    contender, database, work = case
    if not database:
        return _CONTENDERS[contender]
    return f"{_CONTENDERS[contender]}, {_DATABASES[database]}, {work}"
