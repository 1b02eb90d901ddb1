"""A first look at a session after its response was decided: it can be read, and not changed.

A tween above ours, or a subscriber to NewResponse, may look then, and the response must say so.
The execution policy is the last to see it; the environ tells the one of the other.
"""

from __future__ import annotations

from typing import Any, Final

from myapp.sessions.core.errors import SessionClosed

RESPONDED: Final = "myapp.sessions.responded"
"""Whether the response has gone to the server, which may be sending its body."""
LOOKED_LATE: Final = "myapp.sessions.looked_late"


def look_late(environ: dict[str, Any]) -> None:
    """Note a late look. Raises SessionClosed where nobody could tell the client any more."""
    if environ.get(RESPONDED):
        raise SessionClosed(
            "the session was first used after its response was sent, perhaps in a streamed body:"
            " use it once in the view"
        )
    environ[LOOKED_LATE] = True
