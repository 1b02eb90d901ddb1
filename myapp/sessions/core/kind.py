"""What all sessions of one kind share; it is passed to everything that loads, saves or ends one."""

from __future__ import annotations

from collections.abc import Callable

from myapp.sessions.core.codec import Codec
from myapp.sessions.core.events import SessionEvent
from myapp.sessions.core.fork import PerProcess, process_id
from myapp.sessions.core.lifetime import Clock
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.core.store import SessionStore
from myapp.sessions.core.turn import Lines

Publish = Callable[[SessionEvent], None]
"""Tells subscribers of an event, once what it tells is committed."""


class Kind:
    """One kind of session: its settings, its store, and the clock by which it is judged."""

    __slots__ = (
        "_lines",
        "clock",
        "codec",
        "has_closed_lines",
        "name",
        "publish",
        "settings",
        "store",
    )

    def __init__(
        self,
        settings: SessionSettings,
        store: SessionStore,
        codec: Codec,
        *,
        clock: Clock,
        publish: Publish,
    ) -> None:
        self.name = settings.name
        self.settings, self.store, self.codec = settings, store, codec
        self.clock, self.publish = clock, publish
        self._lines = PerProcess(Lines)
        self.has_closed_lines = False
        """Whether any line was ever closed; until then nobody has to look for one."""

    @property
    def lines(self) -> Lines:
        """Where this process's requests wait that save the same session at the same time."""
        return self._lines[process_id()]


Tell = Callable[[Kind, SessionEvent], None]
"""Tells subscribers of an event, and of the request in which it happened if there was one."""


def tell(kind: Kind, event: SessionEvent) -> None:
    """Tell of what happened in no request."""
    kind.publish(event)
