"""What the application needs, for tests that are about something else."""

from __future__ import annotations

from typing import Any, Final

NEEDED: Final = {"accounts.mail": "off"}
"""Settings; of no account here, since nobody signs up in those tests."""


def end(app: Any) -> None:
    """Stop the threads of an application, and close its connections."""
    if "accounts" in app.registry:
        app.registry["accounts"].close()
    app.registry["dbengine"].dispose()
