"""Words of the command line: durations, moments, and whose sessions are meant."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from myapp.sessions.core.lifetime import from_datetime
from myapp.sessions.core.settings import parse_duration

USER = click.option("--user", "user_id", metavar="ID", help="Sessions of this user.")


def duration(text: str) -> int:
    """A duration as in a setting, in milliseconds. Raises BadParameter."""
    try:
        return parse_duration(text)
    except ValueError:
        expected = "expected a duration such as 30d, 3h, 20m or 90s"
        raise click.BadParameter(f"{text!r}: {expected}") from None


def moment(text: str) -> int:
    """A moment with its time zone, in milliseconds since 1970; `now` is the present one.

    Raises BadParameter.
    """
    if text == "now":
        return from_datetime(datetime.now(UTC))
    try:
        # Without a time zone it would be another moment on another machine.
        return from_datetime(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        expected = "expected now, or a moment with its time zone such as 2026-11-26T03:00Z"
        raise click.BadParameter(f"{text!r}: {expected}") from None
