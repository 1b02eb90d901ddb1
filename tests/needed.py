"""What the application does not start without, for tests that are about something else."""

from __future__ import annotations

from typing import Final

NEEDED: Final = {"accounts.mail": "off"}
"""Settings; of no account here, since nobody signs up in those tests."""
