"""Tables and pictures of what bench.lockstep measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def tables(result: dict[str, Any]) -> dict[str, str]:
    """Markdown by name."""
    return {}


def draw(result: dict[str, Any], folder: Path) -> None:
    """The pictures, as SVG."""
