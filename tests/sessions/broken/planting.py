"""The list of the broken stores, and how their mistakes come to light."""

from __future__ import annotations

import threading

from myapp.sessions.testing.memory_store import MemoryStore

PLANTED: list[type[MemoryStore]] = []


def planted(store: type[MemoryStore]) -> type[MemoryStore]:
    """Add a store with a mistake."""
    PLANTED.append(store)
    return store


class Gap(MemoryStore):
    """A store of which one method lets another thread come in between its look and its act.

    Not at the first calls, as with a database to which connections are opened one after another.
    """

    patience = 0.2

    def __init__(self) -> None:
        super().__init__()
        self._meeting = threading.Condition()
        self._is_waiting = False
        self._cold = 4

    def gap(self) -> None:
        """Wait for another thread that comes here too, but not for ever; nobody races alone."""
        if threading.current_thread() is threading.main_thread():
            return
        with self._meeting:
            if self._cold:
                self._cold -= 1
            elif self._is_waiting:
                self._is_waiting = False
                self._meeting.notify_all()
            else:
                self._is_waiting = True
                self._meeting.wait_for(lambda: not self._is_waiting, self.patience)
                self._is_waiting = False
