"""What the readers of old sessions share: their errors for what can't be read or reached."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.moving.pickles import NotAllowed

log = logging.getLogger(__name__)

UTMOST: Final = 1e11
"""The year 5138, in seconds: no moment that anybody wrote is as late."""


class BadUrl(ValueError):
    """A client can't read the URL of an old store."""

    def __init__(self, option: str) -> None:
        super().__init__(option)
        self.option = option
        """What the old library calls it."""


class Unreadable(Exception):
    """An old session that exists but can't be read; it is left unchanged."""


def unreadable(name: str, error: Exception, what: str = "") -> Unreadable:
    """The error to raise; its text tells why, without the contents."""
    # What another error says may quote the contents.
    reason = str(error) if isinstance(error, NotAllowed) else type(error).__name__
    return Unreadable(
        f"{what}an old session of {name} can't be read and was left as it is: {reason}"
    )


def moment(value: Any) -> float:
    """A moment that an old library wrote, in seconds since 1970.

    Raises ValueError, among others, for a moment that no clock can have shown.
    """
    seconds = float(value)
    if not -UTMOST < seconds < UTMOST:
        raise ValueError("no moment")
    return seconds


@contextmanager
def reaching(name: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn the errors of a client into one that answers 503: an outage signs nobody out (L8)."""
    try:
        yield
    except errors as error:
        log.warning("the old store of %s can't be reached: %s", name, type(error).__name__)
        raise StoreUnavailable(f"the old store of {name} can't be reached") from error
