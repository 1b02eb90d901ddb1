"""The content that a save is about to write: what this request made of it, on what others stored.

Encoded once, and again only after others' changes came in.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from myapp.sessions.core.codec import UNCHANGEABLE, Codec, Content
from myapp.sessions.core.discreet import Discreet
from myapp.sessions.core.merge import merge, together
from myapp.sessions.core.state import Absorbed
from myapp.sessions.core.store import StoredSession

Find = Callable[[bytes], tuple[StoredSession, Content] | None]
"""Answers a digest's live row and its content as they are now."""


class Draft(Discreet, msgspec.Struct, eq=False):
    """The content of one session on its way into the store."""

    codec: Codec
    content: Content
    """What is to be stored; to begin with, what this request made of it."""
    mine: Content
    loaded: StoredSession | None
    absorb: tuple[Absorbed, ...]
    """The sessions that were merged into this one, as they were read last."""
    data: bytes | None = None
    """The content in bytes, once it was encoded."""
    _base: Content | None = None

    @property
    def base(self) -> Content:
        """What was loaded; not decoded a second time unless somebody asks."""
        if self._base is None:
            self._base = self.codec.decode(self.loaded.data) if self.loaded else Content()
        return self._base

    @property
    def remembers_otherwise(self) -> bool:
        """Whether the cookie's life differs from what was loaded."""
        return self.content.remember != self.base.remember

    def encode(self) -> bytes:
        """The content in bytes. Raises NotStorable and SessionTooLarge."""
        self.data = self.codec.encode(self.content)
        self.codec.check_size(self.data)
        return self.data

    def check(self) -> None:
        """Refuse what would not come back equal. Raises NotStorable.

        Assigned it would have been refused then; only what was lent can have changed since.
        """
        for key, value in self.content.values.items():
            if type(value) not in UNCHANGEABLE:
                self.codec.check(key, value)

    def is_changed(self, row: StoredSession, *, lent: bool) -> bool:
        """Whether the content means something else than what was loaded."""
        data = self.codec.encode(self.content)
        if data == row.data:
            return False
        # Unless something was lent, only what was assigned can have changed them; a serializer of
        # somebody's own may write the same in other bytes.
        if (lent or not self.codec.is_canonical) and not self._differs():
            return False
        self.codec.check_size(data)
        self.data = data
        return True

    def _differs(self) -> bool:
        """Whether the content means something else, when its bytes are others already.

        A dictionary in another order does not. What a nested change put in is checked here, as an
        assignment is checked where it happens.
        """
        codec, before = self.codec, self.base.values
        changed = False
        for key, value in self.content.values.items():
            if key not in before or not codec.same(before[key], value):
                codec.check(key, value)
                changed = True
        return changed or self.base != self.content

    def take_in(self, theirs: Content) -> None:
        """Do what this request did on what is stored now."""
        self._take(merge(self.base, self.mine, theirs, self.codec.same))

    def keep_mine_alone(self) -> None:
        """Keep what this request itself did, without what the session held."""
        self.take_in(Content())

    def absorb_again(self, find: Find) -> None:
        """Take over what the sessions that were merged into this one hold now.

        Of one that was ended meanwhile nothing stays, but what this request made of it since.
        """
        codec, absorb = self.codec, []
        for each in self.absorb:
            found = find(each.row.digest)
            if found is not None and found[0].version == each.row.version:
                absorb.append(each)
                continue
            theirs = codec.decode(each.before)
            if found is not None:
                theirs = together(theirs, found[1])
                absorb.append(Absorbed(found[0], each.before, codec.encode(theirs)))
            self.mine = merge(codec.decode(each.after), self.mine, theirs, codec.same)
            self._take(self.mine)
        self.absorb = tuple(absorb)

    def _take(self, content: Content) -> None:
        self.content, self.data = content, None
