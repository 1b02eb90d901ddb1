"""Who is allowed how many connections.

What is counted is what exists, by weak references: whatever an interrupt makes a thread drop is
gone from the count when it is collected, and nobody has to be told.
"""

from __future__ import annotations

import weakref


class Place:
    """The right to have one connection; it ends when it is left, or dropped."""

    __slots__ = ("__weakref__", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        """Whether it was used: there is a connection."""


class Places(set["weakref.ref[Place]"]):
    """All places that are taken."""

    def take_one(self, most: int) -> Place | None:
        """One more, unless that would be too many. Of several who come at once for the last one
        all may step back: they look again.
        """
        if len(self) >= most:
            return None
        place = Place()
        # In one line, or the reference would not be known when it is to be discarded.
        self.add(weakref.ref(place, self.discard))
        return place if len(self) <= most else None

    def leave(self, place: Place) -> None:
        """Leave a place at once, though a traceback may still hold it."""
        self.discard(weakref.ref(place))

    def count_open(self) -> int:
        """How many connections there are."""
        places = [reference() for reference in self.copy()]
        return sum(place is not None and place.is_open for place in places)
