"""What the clients did and what they were answered, with the time before and after each.

A lineage is a session with its renewals: one name, many tokens. It bears the number of the
operation that began it, and every value written to it tells both: "LINEAGE.OPERATION".
"""

from __future__ import annotations

import enum
import math
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from myapp.sessions.sql.breaker import LONGEST_PAUSE
from tests.faults.interrupts import INTERRUPTED

NO_LINEAGE: Final = 0

Value = str | list[str]


class Outcome(enum.Enum):
    """Whether an operation's change was made."""

    DONE = enum.auto()
    NOT_DONE = enum.auto()
    """Refused, dropped or rolled back, and the answer said so."""
    UNKNOWN = enum.auto()
    """No answer, or one that promises nothing: it may have happened until all is quiet."""


class Effect(enum.Enum):
    """What an operation does to the token that it was sent with."""

    KEEPS = enum.auto()
    RENEWS = enum.auto()
    SIGNS_IN = enum.auto()
    ENDS = enum.auto()
    """Ends the whole lineage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an operation saw of a session that is not its own, but was to be merged into that."""

    lineage: int
    token: str
    live: bool
    values: dict[str, Value] = field(default_factory=dict)
    flash: list[str] = field(default_factory=list)
    count: int | None = None
    unsure: frozenset[str] = frozenset()
    """Keys and messages of which nobody knows whether they were there."""
    last: bool = False
    """Whether the session was ended with it: all that was ever saved to it came before."""

    def differs(self, other: Look) -> bool:
        """Whether the session held something else the other time."""
        mine, theirs = ((each.values, each.flash, each.count) for each in (self, other))
        return mine != theirs


@dataclass(slots=True, kw_only=True)
class Operation:
    """One request, or one look into the table after the run."""

    number: int
    name: str
    started: float
    ended: float = math.inf
    outcome: Outcome = Outcome.UNKNOWN
    effect: Effect = Effect.KEEPS
    token: str | None = None
    lineage: int = NO_LINEAGE
    """Of the token; of a revoked session, that one's."""

    # What it saw; `live` is None where nobody was told, or where it looked at no session.
    live: bool | None = None
    user: str | None = None
    values: dict[str, Value] = field(default_factory=dict)
    flash: list[str] = field(default_factory=list)
    count: int | None = None
    """How far the session had counted."""

    # What it did, or may have done.
    target: int = NO_LINEAGE
    """The lineage that it wrote to."""
    writes: dict[str, Value | None] = field(default_factory=dict)
    """None for a key that it removed."""
    pushed: str | None = None
    pops: bool = False
    popped: list[str] = field(default_factory=list)
    counts: bool = False
    """Whether it counted on, under the session's lock, and to what."""
    counted: int | None = None
    absorbs: int = NO_LINEAGE
    """The lineage that it merged into its own, the token of that, and which messages it took by
    its save; what values it took stands in `writes`. While `merging`, nobody was told whether it
    took anything. `looks` tell what it saw of it.
    """
    other: str | None = None
    took: list[str] = field(default_factory=list)
    merging: bool = False
    looks: list[Look] = field(default_factory=list)
    signs_in_as: str | None = None
    revokes: str | None = None
    """The user all of whose sessions it ended."""
    issued: str | None = None
    events: tuple[str, ...] = ()
    status: int | None = None
    leapt: bool = False
    """Whether its clock told it a wrong time, perhaps."""
    note: bool | None = None
    """Whether it promised to leave a row in the application's table; None if that is open."""
    joined: bool = False
    """Whether its session was to be saved together with that row."""
    ending: str = "return"

    @property
    def happened(self) -> bool:
        """Whether it was done, perhaps."""
        return self.outcome is not Outcome.NOT_DONE

    @property
    def unanswered(self) -> bool:
        """Whether nobody knows when it was over: an interrupted one may go on in the database."""
        return self.status in (None, INTERRUPTED)

    @property
    def changes_token(self) -> bool:
        """Whether the token that it was sent with is void, perhaps."""
        return self.happened and self.effect is not Effect.KEEPS

    def overlaps(self, other: Operation) -> bool:
        """Whether nobody can tell which came first."""
        return self.started <= other.ended and other.started <= self.ended


@dataclass(slots=True, kw_only=True)
class Token:
    """What the clients know of a token that they were sent."""

    token: str
    lineage: int
    user: str | None
    issued: Operation


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise, with the operations that prove it."""

    rule: str
    lineage: int
    text: str
    proof: tuple[Operation, ...]

    def in_full(self) -> str:
        """Several lines for a human."""
        lines = [f"{self.rule}: {self.text} (lineage {self.lineage})"]
        return "\n".join(lines + [f"  {described(operation)}" for operation in self.proof])


class History:
    """All that happened in one run. Safe for threads."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.tokens: dict[str, Token] = {}
        self.outages: list[tuple[float, float]] = []
        self.notes: set[int] = set()
        """What the application's table holds in the end; so do `users`."""
        self.users: set[int] = set()
        self._lock = threading.Lock()

    def add(self, operation: Operation) -> None:
        """Take note of an operation, and of the token that it was answered."""
        with self._lock:
            self.operations.append(operation)
            if operation.issued is not None and operation.issued not in self.tokens:
                self.tokens[operation.issued] = self._new_token(operation.issued, operation)

    def lineage_of(self, token: str | None) -> int:
        """The lineage of a token, 0 for none."""
        known = self.tokens.get(token or "")
        return known.lineage if known else NO_LINEAGE

    def was_out(self, operation: Operation) -> bool:
        """Whether the database was away during an operation, or just before."""
        return any(
            began <= operation.ended and operation.started <= over for began, over in self.outages
        )

    def may_be_down(self, operation: Operation) -> bool:
        """Whether the servers may still wait before they try to connect again."""
        return any(
            began <= operation.ended and operation.started <= over + LONGEST_PAUSE
            for began, over in self.outages
        )

    def close(self, now: float, live: Collection[str]) -> None:
        """All is quiet: what nobody knows of has happened by now, or never will.

        The application's row tells of some whether they did; `live` are the tokens that work now.
        """
        for operation in self.operations:
            operation.ended = min(operation.ended, now)
            if operation.outcome is Outcome.UNKNOWN and operation.joined:
                if operation.number in self.notes:
                    if operation.effect is Effect.KEEPS and operation.token in live:
                        operation.outcome = Outcome.DONE
                elif operation.effect is not Effect.ENDS:
                    operation.outcome = Outcome.NOT_DONE

    def _new_token(self, token: str, operation: Operation) -> Token:
        before = self.tokens.get(operation.token or "")
        user = operation.signs_in_as or (before.user if before else None)
        # Another user's sign-in leaves nothing of the session but its cookie.
        stranger = operation.signs_in_as is not None and operation.user not in (
            None,
            operation.signs_in_as,
        )
        if "SessionRenewed" in operation.events and before is not None and not stranger:
            return Token(token=token, lineage=before.lineage, user=user, issued=operation)
        return Token(
            token=token, lineage=operation.number, user=operation.signs_in_as, issued=operation
        )


def writer_of(value: Value) -> tuple[int, int]:
    """The lineage and the operation that a value tells; of a list its last one does."""
    stamp = value if isinstance(value, str) else value[-1]
    lineage, _, number = stamp.partition(".")
    return int(lineage), int(number)


def described(operation: Operation) -> str:
    """One line: when, what, what it saw, what it did."""
    parts = [
        f"#{operation.number}",
        f"{operation.started:.4f}-{operation.ended:.4f}",
        operation.name,
        f"then {operation.ending}",
        f"with {(operation.token or 'no token')[:6]} of {operation.lineage}",
        f"answered {operation.status}" if operation.status else "unanswered",
        operation.outcome.name,
    ]
    if operation.leapt:
        parts.append("told a wrong time, perhaps")
    if operation.live is not None:
        state = f"user {operation.user} {operation.values} {operation.flash}"
        parts.append(f"saw {state if operation.live else 'no session'}")
    for label in ("writes", "pushed", "popped", "counted", "absorbs", "took", "issued", "events"):
        if found := getattr(operation, label):
            parts.append(f"{label} {found[:6] if label == 'issued' else found}")
    for look in operation.looks:
        state = f"{look.values} {look.flash}" if look.live else "no session"
        when = " by its save" if look.last else ""
        parts.append(f"of {look.token[:6]} of {look.lineage} it saw{when} {state}")
    return ", ".join(parts)
