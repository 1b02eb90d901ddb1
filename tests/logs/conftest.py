"""A log to read: a handler as an ini file makes it, and what it has written."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest


class Written:
    """What a handler of the root logger has written."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(logging.Formatter("%(levelname)s [%(name)s] %(message)s"))

    @property
    def text(self) -> str:
        """All of it."""
        return self._stream.getvalue()

    @property
    def lines(self) -> list[str]:
        """Its lines, as any reader takes them apart."""
        return self.text.splitlines()


@pytest.fixture
def written() -> Iterator[Written]:
    """Everything that is logged from here on, from INFO on."""
    written, root = Written(), logging.getLogger()
    before = root.level
    root.addHandler(written.handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(written.handler)
    root.setLevel(before)
