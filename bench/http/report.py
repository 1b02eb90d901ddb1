"""Tables and pictures of what servers serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.report import picture, table

Result = dict[str, Any]
Figure = dict[str, Any]
Case = tuple[str, str, str]

_CONTENDERS: Final = {"bare": "bare Pyramid", "myapp": "myapp", "django": "Django"}
_DATABASES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def tables(result: Result) -> dict[str, str]:
    """Markdown by name."""
    return {
        "rates": _grid(result, lambda figure: f"{figure['rate']:,.0f}"),
        "times": _grid(result, lambda figure: f"{figure['p50']:.1f} / {figure['p99']:.1f}"),
        "failed": _failed(result),
    }


def draw(result: Result, folder: Path) -> None:
    """The pictures, as SVG."""
    cases = _cases(result)
    servers = _servers(result)
    height = 0.8 / len(cases)
    with picture(folder / "http.svg", height=1 + 0.2 * len(servers) * len(cases)) as (axes,):
        for number, case in enumerate(cases):
            places = [place + number * height for place in range(len(servers))]
            rates = [_find(result, server, case).get("rate", 0) for server in servers]
            axes.barh(places, rates, height=height, label=_name(case))
        middle = (len(cases) - 1) * height / 2
        axes.set_yticks([place + middle for place in range(len(servers))], servers)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("requests per second")
        axes.legend()


def _grid(result: Result, show: Callable[[Figure], str]) -> str:
    """A row for each server, a column for each case."""
    cases = _cases(result)
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
