"""The first use of a session after its response was decided: it can be read, but not changed.

A tween above ours, or a subscriber to NewResponse, may use it then, and the response must say so.
The execution policy is the last to see the response; the environ tells it about the use.
"""

from __future__ import annotations

from typing import Any, Final

from myapp.sessions.core.errors import SessionClosed

RESPONDED: Final = "myapp.sessions.responded"
"""Whether the response has gone to the server, which may be sending its body."""
LOOKED_LATE: Final = "myapp.sessions.looked_late"


def look_late(environ: dict[str, Any]) -> None:
    """Note a late use. Raises SessionClosed if it is too late to tell the client."""
    if environ.get(RESPONDED):
        raise SessionClosed(
            "the session was first used after its response was sent, perhaps in a streamed body:"
            " use it once in the view"
        )
    environ[LOOKED_LATE] = True
