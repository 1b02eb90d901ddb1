"""The content that a save is about to write: what this request made of it, on what others stored.

Encoded once, and again only after others' changes came in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from myapp.sessions.core.codec import Codec, Content
from myapp.sessions.core.merge import merge, together
from myapp.sessions.core.state import Absorbed
from myapp.sessions.core.store import StoredSession

Find = Callable[[bytes], tuple[StoredSession, Content] | None]
"""Answers a digest's live row and its content as they are now."""


class Draft:
    """The content of one session on its way into the store."""

    def __init__(
        self,
        codec: Codec,
        content: Content,
        loaded: StoredSession | None,
        absorb: Sequence[Absorbed],
    ) -> None:
        self.content = self._mine = content
        self.absorb = tuple(absorb)
        """The sessions that were merged into this one, as they were read last."""
        self._codec, self._loaded = codec, loaded
        self._base: Content | None = None
        self._data: bytes | None = None

    @property
    def base(self) -> Content:
        """What was loaded; not decoded a second time unless somebody asks."""
        if self._base is None:
            self._base = self._codec.decode(self._loaded.data) if self._loaded else Content()
        return self._base

    @property
    def remembers_otherwise(self) -> bool:
        """Whether the cookie's life differs from what was loaded."""
        # Nobody compared: nothing but plain values was assigned.
        return self._base is not None and self.content.remember != self._base.remember

    def data(self) -> bytes:
        """The content in bytes. Raises SessionTooLarge."""
        if self._data is None:
            self._data = self._codec.encode(self.content)
        self._codec.check_size(self._data)
        return self._data

    def check(self) -> None:
        """Refuse what would not come back equal. Raises NotStorable."""
        for key, value in self.content.values.items():
            self._codec.check(key, value)

    def is_changed(self, row: StoredSession, *, lent: bool) -> bool:
        """Whether the content means something else than what was loaded."""
        self._data = self._codec.encode(self.content)
        if self._data == row.data:
            return False
        # Unless something was lent, only what was assigned can have changed them; a serializer of
        # somebody's own may write the same in other bytes.
        return self._differs() if lent or not self._codec.is_canonical else True

    def _differs(self) -> bool:
        """Whether the content means something else, when its bytes are others already.

        A dictionary in another order does not. What a nested change put in is checked here, as an
        assignment is checked where it happens.
        """
        codec, before = self._codec, self.base.values
        changed = False
        for key, value in self.content.values.items():
            if key not in before or not codec.same(before[key], value):
                codec.check(key, value)
                changed = True
        return changed or self.base != self.content

    def take_in(self, theirs: Content) -> None:
        """Do what this request did on what is stored now."""
        self._take(merge(self.base, self._mine, theirs, self._codec.same))

    def keep_mine_alone(self) -> None:
        """Keep what this request itself did, without what the session held."""
        self.take_in(Content())

    def absorb_again(self, find: Find) -> None:
        """Take over what the sessions that were merged into this one hold now.

        Of one that was ended meanwhile nothing stays, but what this request made of it since.
        """
        codec, absorb = self._codec, []
        for each in self.absorb:
            found = find(each.row.digest)
            if found is not None and found[0].version == each.row.version:
                absorb.append(each)
                continue
            theirs = codec.decode(each.before)
            if found is not None:
                theirs = together(theirs, found[1])
                absorb.append(Absorbed(found[0], each.before, codec.encode(theirs)))
            self._mine = merge(codec.decode(each.after), self._mine, theirs, codec.same)
            self._take(self._mine)
        self.absorb = tuple(absorb)

    def _take(self, content: Content) -> None:
        self.content, self._data = content, None
