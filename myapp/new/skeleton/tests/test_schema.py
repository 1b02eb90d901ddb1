"""schema.sql creates the tables of the models."""

from __future__ import annotations

import re
from pathlib import Path

from tests.command_line import shown

ROOT = Path(__file__).resolve().parent.parent


def test_the_file_says_what_the_models_say() -> None:
    """If it is out of date, `make schema` rewrites it."""
    (dialect,) = re.findall(r"^DIALECT \?= (\w+)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert (ROOT / "schema.sql").read_text("utf-8") == shown("myapp.scripts.schema", dialect)
