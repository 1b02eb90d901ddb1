"""What deploy/container/Dockerfile says, step by step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.processes import ROOT

FOLDER: Final = ROOT / "deploy" / "container"
DOCKERFILE: Final = FOLDER / "Dockerfile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One instruction: its name, its options such as `--from=build`, and the rest."""

    name: str
    options: tuple[str, ...]
    text: str


def steps(path: Path = DOCKERFILE) -> Iterator[Step]:
    """The instructions of the file, in their order."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    for line in filter(None, re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()):
        found = re.fullmatch(r"([A-Z]+) ((?:--\S+ )*)(.+)", line)
        assert found is not None, line
        yield Step(name=found[1], options=tuple(found[2].split()), text=found[3])
