"""What it knows of a user: nothing that it could tell."""

from __future__ import annotations

from typing import Any


def about_user(settings: Any, user_id: str) -> Any:
    """It has never asked whether its cache is there."""
    raise OSError("can't reach redis://us:top secret@h/0")
