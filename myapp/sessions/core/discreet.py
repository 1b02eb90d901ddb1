"""What a record shows of itself: never a token, a digest, data or a CSRF token (R6)."""

from __future__ import annotations

from typing import Any


class Discreet:
    """Shows what `shown` says and nothing else, whoever prints it; to be named before Struct.

    msgspec's structs tell all their fields, to `repr` and, by a method of its own, to rich, whose
    tracebacks show local variables.
    """

    __slots__ = ()

    def shown(self) -> str:
        """What anybody may see."""
        return ""

    def __repr__(self) -> str:
        return f"<{' '.join([type(self).__qualname__, self.shown()]).rstrip()}>"

    def __rich_repr__(self, /) -> list[tuple[str, Any]]:
        return [("shown", self.shown())]
