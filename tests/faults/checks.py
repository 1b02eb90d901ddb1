"""What a history must not contain. Only what is certain is reported.

Two operations are in order when one was answered before the other was sent; of others nobody can
tell which came first, and then the checks take whatever excuses what was seen.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.faults.history import (
    NO_LINEAGE,
    Effect,
    History,
    Operation,
    Outcome,
    Token,
    Value,
    Violation,
    writer_of,
)

NEVER: Final = -math.inf
MARKED: Final = 50.0
"""Seconds for which a renewed or signed-out token is surely still known as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The limits that the servers were given, in seconds."""

    idle: float
    touch: float
    skew: float = 1.0

    @property
    def surely_live(self) -> float:
        """So long after its use a session can't have idled out, whatever the clocks say."""
        return self.idle - self.touch - 2 * self.skew - 0.2

    @property
    def surely_dead(self) -> float:
        """So long after its last use a session has idled out."""
        return self.idle + 2 * self.skew + 0.3


def check(history: History, times: Times) -> list[Violation]:
    """Every violation that the history proves, the earliest first."""
    found = list(_check_application(history))
    found += _check_answers(history)
    for lineage in _lineages(history, times):
        found += lineage.violations()
    return sorted(found, key=lambda violation: violation.proof[-1].started)


def _check_application(history: History) -> Iterator[Violation]:
    """The application's data and the session are saved together, or neither is."""
    for operation in history.operations:
        if operation.note is not None and operation.note != (operation.number in history.notes):
            text = f"the application's row {'is missing' if operation.note else 'was kept'}"
            yield Violation("atomic", operation.lineage, text, (operation,))
        user = operation.user or ""
        if operation.live and user.startswith("s") and int(user[1:]) not in history.users:
            text = f"{user} is signed in, whose sign-up was rolled back"
            yield Violation("sign-up", operation.lineage, text, (operation,))


def _check_answers(history: History) -> Iterator[Violation]:
    """What can be told from one answer alone."""
    for operation in history.operations:
        if operation.issued is not None and (operation.status or 0) >= 500:
            yield Violation(
                "cookie", operation.lineage, "a failed request sent a cookie", (operation,)
            )
        if operation.issued is not None and operation.signs_in_as and operation.note is False:
            text = "a sign-in was kept whose transaction was rolled back"
            yield Violation("sign-up", operation.lineage, text, (operation,))
        if operation.live and operation.name == "cross":
            text = "another manager opened the token"
            yield Violation("manager", operation.lineage, text, (operation,))
        elif operation.live and operation.token is None:
            text = "no token was sent, and a session was seen"
            yield Violation("foreign", NO_LINEAGE, text, (operation,))


def _lineages(history: History, times: Times) -> Iterator[Lineage]:
    operations: dict[int, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        for number in {operation.lineage, operation.target} - {NO_LINEAGE}:
            operations[number].append(operation)
    tokens: dict[int, list[Token]] = defaultdict(list)
    for token in history.tokens.values():
        tokens[token.lineage].append(token)
    wide = [operation for operation in history.operations if operation.revokes]
    for number in sorted(operations.keys() | tokens.keys()):
        yield Lineage(number, operations[number], tokens[number], wide, history, times)


class Lineage:
    """One session through all its renewals, and the checks of what was seen of it."""

    def __init__(
        self,
        number: int,
        operations: Sequence[Operation],
        tokens: Sequence[Token],
        wide: Sequence[Operation],
        history: History,
        times: Times,
    ) -> None:
        self.number, self.times, self.history = number, times, history
        self.tokens = {token.token: token for token in tokens}
        self.all = sorted(operations, key=lambda operation: operation.started)
        self.own = [operation for operation in self.all if operation.lineage == number]
        self.reads = [each for each in self.own if each.live is not None and each.name != "cross"]
        written = [each for each in self.all if each.target == number and each.happened]
        self.writes: dict[str, list[Operation]] = defaultdict(list)
        for operation in written:
            for key in operation.writes:
                self.writes[key].append(operation)
        self.by_number = {operation.number: operation for operation in self.all}
        self.pushes = [operation for operation in written if operation.pushed]
        self.pops = [each for each in self.own if each.happened and each.pops]
        self.changers: dict[str, list[Operation]] = defaultdict(list)
        for operation in self.own:
            if operation.changes_token and operation.token is not None:
                self.changers[operation.token].append(operation)
        self.moves = [each for each in self.own if each.changes_token]
        self.ends = [self._judged(each) for each in self.own if self._is_end(each)]
        self.ends += [end for each in wide for end in self._end_by(each)]

    def violations(self) -> Iterator[Violation]:
        """All that this lineage's operations prove."""
        for read in self.reads:
            if read.live:
                yield from self._check_alive(read)
                yield from self._check_values(read)
                yield from self._check_flash(read)
            else:
                yield from self._check_gone(read)
            yield from self._check_cookie(read)

    # Endings.

    def _is_end(self, operation: Operation) -> bool:
        return operation.effect is Effect.ENDS and operation.happened

    def _judged(self, end: Operation) -> Operation:
        """Whoever signs out ends the session, unless somebody else signs in just then."""
        parallel = any(each.effect is Effect.SIGNS_IN and each.overlaps(end) for each in self.moves)
        certain = not parallel or ("SessionEnded" in end.events and end.name != "replace")
        return end if certain else replace(end, outcome=Outcome.UNKNOWN)

    def _end_by(self, operation: Operation) -> Iterator[Operation]:
        """What ending all sessions of a user meant for this one."""
        users_own = [t for t in self.tokens.values() if t.user == operation.revokes]
        if users_own and operation.happened:
            certain = operation.outcome is Outcome.DONE and any(
                self._was_surely_live(token, operation) for token in users_own
            )
            outcome = Outcome.DONE if certain else Outcome.UNKNOWN
            yield replace(operation, lineage=self.number, outcome=outcome)

    def _was_surely_live(self, token: Token, then: Operation) -> bool:
        renewed = any(
            each.effect in (Effect.RENEWS, Effect.SIGNS_IN) and each.overlaps(then)
            for each in self.moves
        )
        return not renewed and self._last_use(token, then) is not None

    def _last_use(self, token: Token, then: Operation) -> Operation | None:
        """A use of the token so shortly before that it can't have idled out, if there is one."""
        uses = [token.issued, *(r for r in self.reads if r.live and r.token == token.token)]
        for use in reversed(uses):
            recent = use.started + self.times.surely_live > then.ended
            if use.ended < then.started and recent and self._touched(use):
                return use
        return None

    def _touched(self, use: Operation) -> bool:
        answered = use.status is not None and use.status < 500
        return (
            answered
            and "ChangeDropped" not in use.events
            and not any(
                began <= use.ended and use.started <= over for began, over in self.history.outages
            )
        )

    # Checks of one read.

    def _check_alive(self, read: Operation) -> Iterator[Violation]:
        """Of a session that was ended or renewed nothing is seen."""
        for end in self.ends:
            if end.outcome is Outcome.DONE and end.ended < read.started:
                yield self._violation("ended", "an ended session was seen", end, read)
        for change in self.changers[read.token or ""]:
            renewed = "SessionRenewed" in change.events and change.outcome is Outcome.DONE
            if renewed and change.ended < read.started:
                yield self._violation("renewed", "a token works that was renewed", change, read)
        token = self.tokens.get(read.token or "")
        if token is None:
            return
        if token.user != read.user:
            yield self._violation(
                "user", f"{read.user} was seen, not {token.user}", token.issued, read
            )
        before = [each for each in self.all if each is not read and each.started < read.ended]
        last = max((token.issued, *before), key=lambda each: each.ended)
        if last.ended + self.times.surely_dead < read.started:
            yield self._violation("idle", "a session was seen long after its last use", last, read)

    def _check_gone(self, read: Operation) -> Iterator[Violation]:
        """A session that nothing ended is there."""
        token = self.tokens.get(read.token or "")
        if token is None:
            return
        changes = self.changers[token.token]
        excuses = [each for each in changes if each.started < read.ended]
        excuses += [
            end
            for end in self.ends
            if end.started < read.ended and token.issued.started < end.ended
        ]
        if excuses:
            return
        use = self._last_use(token, read)
        if use is not None:
            yield self._violation("lost", "a session was gone that nothing ended", use, read)

    def _check_values(self, read: Operation) -> Iterator[Violation]:
        for key in self.writes.keys() | read.values.keys():
            value = read.values.get(key)
            if value is None:
                yield from self._check_absence(read, key)
            else:
                yield from self._check_value(read, key, value)

    def _check_absence(self, read: Operation, key: str) -> Iterator[Violation]:
        """A key is absent before it is written and after it is removed."""
        writes = self.writes[key]
        removals = [w.ended for w in writes if w.writes[key] is None and w.started < read.ended]
        removed = max(removals, default=NEVER)
        for write in writes:
            if self._lies_between(write, removed, read) and write.writes[key] is not None:
                yield self._violation("write", f"{key} is gone that nobody removed", write, read)

    def _check_value(self, read: Operation, key: str, value: Value) -> Iterator[Violation]:
        """A value was written to this session, and not overwritten before it was looked for."""
        lineage, number = writer_of(value)
        writer = self.by_number.get(number)
        if lineage != self.number:
            yield self._violation("foreign", f"{key} is another session's: {value}", read)
        elif writer is None or writer not in self.writes[key]:
            proof = (writer, read) if writer else (read,)
            yield self._violation("phantom", f"{key} was never written: {value}", *proof)
        else:
            if writer.outcome is Outcome.DONE and writer.writes[key] != value:
                yield self._violation("write", f"{key} is not what was written", writer, read)
            for later in self.writes[key]:
                if self._lies_between(later, writer.ended, read):
                    text = f"{key} is {value}, which had been overwritten"
                    yield self._violation("write", text, writer, later, read)

    def _lies_between(self, write: Operation, after: float, read: Operation) -> bool:
        done = write.outcome is Outcome.DONE
        return done and write.started > after and write.ended < read.started

    def _check_flash(self, read: Operation) -> Iterator[Violation]:
        for message in read.flash:
            if writer_of(message)[0] != self.number:
                yield self._violation("foreign", f"{message} is another session's", read)
            elif message not in [push.pushed for push in self.pushes]:
                yield self._violation("phantom", f"{message} was never pushed", read)
        for push in self.pushes:
            yield from self._check_message(push, push.pushed or "", read)

    def _check_message(self, push: Operation, message: str, read: Operation) -> Iterator[Violation]:
        shown = message in read.flash
        pops = [pop for pop in self.pops if message in pop.popped]
        if not shown and push.outcome is Outcome.DONE and push.ended < read.started:
            unknown = [pop for pop in self.pops if pop.outcome is Outcome.UNKNOWN]
            if not any(pop.started < read.ended for pop in (*pops, *unknown)):
                yield self._violation("flash", f"{message} vanished unseen", push, read)
        for pop in pops if shown else ():
            done = pop.outcome is Outcome.DONE
            if done and push.ended < pop.started and pop.ended < read.started:
                yield self._violation("flash", f"{message} was popped", push, pop, read)

    def _check_cookie(self, read: Operation) -> Iterator[Violation]:
        """A late request sends no cookie, unless it signs somebody in (R3)."""
        if read.issued is None or read.effect is Effect.SIGNS_IN:
            return
        for change in self.changers[read.token or ""]:
            # Of a revoked session no marker is left, and a replacement does not tell whether
            # it was the one that ended it.
            marks = {"SessionRenewed", "SessionEnded"} & set(change.events)
            marked = change.outcome is Outcome.DONE and marks and change.name != "replace"
            late = change.ended < read.started and read.ended < change.started + MARKED
            if marked and late:
                yield self._violation("late", "a late request sent a cookie", change, read)

    def _violation(self, rule: str, text: str, *proof: Operation) -> Violation:
        return Violation(rule, self.number, text, proof)
