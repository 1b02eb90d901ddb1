"""Renders what was measured: `make bench/report`. It measures nothing itself.

Each measurement keeps its result as a JSON file in docs/performance/. Its module makes tables and
pictures of it, and the templates beside this file put them into pages: no figure is written by
hand. The pages are text alone, so that a test can render them without what draws the pictures.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench import ROOT
from bench.machine import describe

DOCS: Final = ROOT / "docs"
RESULTS: Final = DOCS / "performance"
"""Where results are kept, and the pictures."""

MEASUREMENTS: Final = {
    "lockstep": "bench.lockstep_report",
    "growth": "bench.growth",
    "http": "bench.http",
    "one_core": "bench.http.one_core",
}
"""The name of each result, and the module that has its `tables` and `draw`."""

PAGES: Final = {
    "performance.md.jinja2": DOCS / "performance.md",
    "measurements.md.jinja2": DOCS / "reference" / "measurements.md",
}

Result = dict[str, Any]


class Measurement(Protocol):
    """What a module of MEASUREMENTS has."""

    def tables(self, result: Result) -> dict[str, str]:
        """Markdown by name, for the templates: `{{ lockstep.read }}`."""

    def draw(self, result: Result, folder: Path) -> None:
        """Write pictures into the folder, each by `picture`."""


def keep(name: str, command: str, results: Result) -> Path:
    """Keep a result with its machine, versions, date, commit and command."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps(describe() | {"command": command} | results, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", "utf-8")
    return path


def load(name: str) -> Result | None:
    """The result that was kept last; None if there is none."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return None
    found: Result = json.loads(path.read_text("utf-8"))
    return found


def render() -> dict[Path, str]:
    """The pages, by where they belong. A measurement that has no result is None in a template."""
    loader = FileSystemLoader(Path(__file__).parent)
    # Markdown is no HTML: nothing is to be escaped.
    jinja = Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found: dict[str, Any] = {name: _rendered(name) for name in MEASUREMENTS}
    return {
        page: jinja.get_template(template).render(found).rstrip() + "\n"
        for template, page in PAGES.items()
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """A table in Markdown: the first columns hold texts, the others figures, on the right."""
    ruler = ["---"] * texts + ["---:"] * (len(head) - texts)
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ruler, *rows])


@contextmanager
def picture(
    path: Path, *, width: float = 8, height: float = 4, panels: int = 1
) -> Iterator[Sequence[Any]]:
    """The axes of a picture's panels, side by side; it is written as SVG in the end.

    The same data make the same file.
    """
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    with mpl.rc_context(_LOOK):
        size = (width, height)
        figure, axes = pyplot.subplots(1, panels, figsize=size, layout="constrained", squeeze=False)
        yield list(axes[0])
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


_LOOK: Final = {
    "svg.hashsalt": "myapp",
    # As text, which is small and can be searched and read aloud.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}


def main() -> None:
    """Draw every picture and write every page."""
    RESULTS.mkdir(exist_ok=True)
    for name in MEASUREMENTS:
        result = load(name)
        if result is not None:
            _module(name).draw(result, RESULTS)
    for page, text in render().items():
        page.write_text(text, "utf-8")
        print(page.relative_to(ROOT))


def _rendered(name: str) -> dict[str, Any] | None:
    """What a template gets of a measurement: what was kept, and its tables."""
    result = load(name)
    if result is None:
        return None
    return {"result": result} | _module(name).tables(result)


def _module(name: str) -> Measurement:
    module: Any = importlib.import_module(MEASUREMENTS[name])
    measurement: Measurement = module
    return measurement


if __name__ == "__main__":
    main()
