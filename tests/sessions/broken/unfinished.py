"""A store as somebody wrote it before the contract had its last method."""

from __future__ import annotations

from typing import Any

from myapp.sessions.testing.memory_store import MemoryStore


class Unfinished:
    """Has each method of the contract but `last_sign_in`."""

    def __init__(self, settings: object) -> None:
        self._store = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        if name == "last_sign_in":
            raise AttributeError(name)
        return getattr(self._store, name)
