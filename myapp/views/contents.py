"""A session as a page shows it; only reads, so that looking never starts a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

# The page must work no matter what other code has put into a session.
SHOWN_LENGTH: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key of a session."""

    key: str
    text: str
    type: str


def entries(session: Any) -> list[Entry]:
    """What the session holds, by key; not what the application keeps there for itself."""
    return sorted(
        (
            Entry(key=str(key), text=as_text(value), type=type(value).__name__)
            for key, value in session.items()
            if not str(key).startswith("_")
        ),
        key=lambda entry: entry.key,
    )


def as_text(value: object) -> str:
    """A value to be read by people: text as it is, the rest as Python writes it."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "…"


def remaining(deadline: datetime, now: datetime) -> str:
    """The time until the deadline in its largest unit, rounded: a week that began a moment ago has
    7 days left.
    """
    left = max(deadline - now, timedelta(0)).total_seconds()
    for unit, parts, part in (("day", 24, 3600), ("hour", 60, 60), ("minute", 60, 1)):
        count = round(round(left / part) / parts)
        if round(left / part) >= parts:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def overview(session: Any, now: datetime | None = None) -> dict[str, Any]:
    """All that a page says about a session, as the names that the templates use."""
    deadline = session.deadline.astimezone(UTC)
    return {
        "is_new": session.new,
        "entries": entries(session),
        "started": datetime.fromtimestamp(session.created, UTC),
        "deadline": deadline,
        "remaining": remaining(deadline, now or datetime.now(UTC)),
    }
