"""What happens to sessions, as log lines: who signed in, and when."""

from __future__ import annotations

import logging
from typing import Any, Final

from myapp.sessions import (
    ChangeDropped,
    ConflictMerged,
    SessionEnded,
    SessionEvent,
    SessionMoved,
    SessionRenewed,
    SessionStarted,
    get_client,
)

log = logging.getLogger(__name__)

MESSAGES: Final[dict[type[SessionEvent], str]] = {
    SessionStarted: "session started",
    SessionRenewed: "session renewed",
    SessionEnded: "session ended",
    SessionMoved: "old session moved in",
    ConflictMerged: "session changed by two requests; both changes are stored",
    ChangeDropped: "session had already ended; a change was dropped",
}
"""What is logged of an event. The others are told, with more to say, by the module that loads."""


def tell(event: SessionEvent) -> None:
    """Log an event."""
    message = MESSAGES.get(type(event))
    if message is not None:
        log.info(message, extra=fields_of(event))


def fields_of(event: SessionEvent) -> dict[str, Any]:
    """The fields of an event's line; what is not known is None, and left out."""
    request = event.request
    return {
        "manager": event.manager,
        "session": event.handle,
        "user": event.user_id,
        "kind": getattr(event, "kind", None),
        "reason": getattr(event, "reason", None),
        "signed_in": getattr(event, "signed_in", None),
        "address": get_client(request, event.manager).address if request is not None else None,
    }
