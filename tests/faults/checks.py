"""What a history must not contain. Only what is certain is reported.

Two operations are in order when one was answered before the other was sent; of others nobody can
tell which came first, and then the checks take whatever excuses what was seen.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.faults.history import (
    NO_LINEAGE,
    Effect,
    History,
    Look,
    Operation,
    Outcome,
    Token,
    Value,
    Violation,
    writer_of,
)
from tests.faults.server import LIMITED, MERGED, NOT_TOUCHED, RACED

_Unsure = frozenset[str]

NEVER: Final = -math.inf
PROMPT: Final = 2.0
"""Seconds: whoever was answered sooner has waited in vain for nothing."""
UNANSWERED: Final = 1.0
"""Seconds that an operation may have gone on in the database when its server was killed."""
MARKED: Final = 50.0
"""Seconds for which a renewed or signed-out token is surely still known as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The limits that the servers were given, in seconds."""

    idle: float
    touch: float
    skew: float = 1.0
    per_user: int | None = None
    """So many sessions may a user have."""

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
    found += _check_errors(history)
    lineages = list(_lineages(history, times))
    for lineage in lineages:
        found += lineage.violations()
    found += _check_limit(history, times, lineages)
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


def _check_errors(history: History) -> Iterator[Violation]:
    """Nobody is told of an internal error: a race is won in the end, or is a 503.

    While the database is away the application fails by itself.
    """
    for operation in history.operations:
        told = operation.ending == "500"
        if operation.status == 500 and not told and not history.was_out(operation):
            yield Violation("error", operation.lineage, "an internal error", (operation,))
        raced = RACED in operation.events
        if operation.status == 503 and not raced and not history.may_be_down(operation):
            text = "refused, though the database was there"
            yield Violation("outage", operation.lineage, text, (operation,))


def _check_limit(
    history: History, times: Times, lineages: Sequence[Lineage]
) -> Iterator[Violation]:
    """A sign-in leaves its user no more sessions than allowed (R8).

    Counted is what was there before the sign-in, cannot have idled out by then, and was seen after.
    """
    if times.per_user is None:
        return
    sessions: dict[str | None, list[tuple[Lineage, Token, Operation]]] = defaultdict(list)
    for lineage in lineages:
        for token in lineage.tokens.values():
            if (seen := lineage.last_seen(token)) is not None and not lineage.leapt:
                sessions[token.user].append((lineage, token, seen))
    for sign_in in history.operations:
        if not _surely_limits(sign_in, history):
            continue
        left = [
            seen
            for lineage, token, seen in sessions[sign_in.signs_in_as]
            if seen.started > sign_in.ended
            and (token.issued is sign_in or lineage.was_there(token, sign_in))
        ]
        if len(left) > times.per_user:
            text = f"{sign_in.signs_in_as} kept {len(left)} sessions"
            yield Violation("limit", sign_in.lineage, text, (sign_in, *left))


def _surely_limits(operation: Operation, history: History) -> bool:
    return (
        operation.signs_in_as is not None
        and operation.outcome is Outcome.DONE
        and operation.issued is not None
        and not operation.leapt
        and operation.ended - operation.started < PROMPT
        and not history.was_out(operation)
    )


def _may_limit(operation: Operation, history: History) -> bool:
    """Whether a sign-in ended sessions of its user, perhaps."""
    told = operation.outcome is Outcome.DONE and not history.was_out(operation)
    return (
        operation.signs_in_as is not None
        and operation.happened
        and (not told or LIMITED in operation.events)
    )


def _lineages(history: History, times: Times) -> Iterator[Lineage]:
    operations: dict[int, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        for number in {operation.lineage, operation.target} - {NO_LINEAGE}:
            operations[number].append(operation)
    tokens: dict[int, list[Token]] = defaultdict(list)
    for token in history.tokens.values():
        tokens[token.lineage].append(token)
    merging: dict[int, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        for number in {operation.absorbs, *(look.lineage for look in operation.looks)}:
            if number != NO_LINEAGE and not _merges_itself(operation, number):
                merging[number].append(operation)
    wide = Wide(
        revoking=[each for each in history.operations if each.revokes],
        limiting=[each for each in history.operations if _may_limit(each, history)],
        crossing=_crossing(history),
    )
    for number in sorted(operations.keys() | tokens.keys()):
        mine = operations[number], tokens[number], merging[number]
        yield Lineage(number, *mine, wide, history, times)


def _merges_itself(operation: Operation, number: int) -> bool:
    """Whether a session was to be merged into itself: that neither ends it nor excuses its loss.

    A new one, since the token sent is long forgotten, may well take over what that one became.
    """
    told = not operation.merging and number == operation.target
    return told or operation.other == operation.token


def _crossing(history: History) -> set[int]:
    """The numbers of merges into a session into which another was merged at the same time.

    Nobody can tell from which of the two comes what such a session holds then.
    """
    merges: dict[int, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        if operation.absorbs and operation.happened and operation.target:
            merges[operation.target].append(operation)
    return {
        one.number
        for into in merges.values()
        for one in into
        if any(one is not other and one.overlaps(other) for other in into)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide:
    """Operations that concern many lineages: some may end their sessions."""

    revoking: Sequence[Operation]
    limiting: Sequence[Operation]
    crossing: Collection[int]


class Lineage:
    """One session through all its renewals, and the checks of what was seen of it."""

    def __init__(
        self,
        number: int,
        operations: Sequence[Operation],
        tokens: Sequence[Token],
        looking: Sequence[Operation],
        wide: Wide,
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
        self.pushes = [(each, each.pushed) for each in written if each.pushed]
        self.pushes += [(each, message) for each in written for message in each.took]
        self.counts = [operation for operation in written if operation.counts]
        self.merging = [operation for operation in written if operation.merging]
        self.absorbing = [each for each in looking if each.absorbs == number and each.happened]
        self.looks = [(e, look) for e in looking for look in e.looks if look.lineage == number]
        self.limiting, self.crossing = wide.limiting, wide.crossing
        # What a wrong clock has said of it may be a limit from then on, or a lock.
        began = [token.issued for token in tokens]
        self.leapt = any(each.leapt for each in (*operations, *looking, *began))
        self.pops = [each for each in self.own if each.happened and each.pops]
        self.changers: dict[str, list[Operation]] = defaultdict(list)
        for operation in self.own:
            if operation.changes_token and operation.token is not None:
                self.changers[operation.token].append(operation)
        self.moves = [each for each in self.own if each.changes_token]
        self.ends = [self._judged(each) for each in self.own if self._is_end(each)]
        self.ends += [end for each in wide.revoking for end in self._end_by(each)]
        self.ends += [self._absorbed(each) for each in self.absorbing]

    def violations(self) -> Iterator[Violation]:
        """All that this lineage's operations prove."""
        for read in self.reads:
            if read.live:
                yield from self._check_alive(read)
                yield from self._check_values(read)
                yield from self._check_flash(read)
                yield from self._check_count(read)
            else:
                yield from self._check_gone(read)
            yield from self._check_cookie(read)
        for merge, look in self.looks:
            yield from self._check_look(merge, look)
        yield from self._check_one_end()
        yield from self._check_counting()

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
            told = operation.outcome is Outcome.DONE and not operation.leapt
            certain = told and any(self._was_surely_live(token, operation) for token in users_own)
            outcome = Outcome.DONE if certain else Outcome.UNKNOWN
            yield replace(operation, lineage=self.number, outcome=outcome)

    def _absorbed(self, merge: Operation) -> Operation:
        """What being merged into another session meant: its end, if anybody was told."""
        outcome = merge.outcome if MERGED in merge.events else Outcome.UNKNOWN
        return replace(merge, lineage=self.number, outcome=outcome)

    def _was_surely_live(self, token: Token, then: Operation) -> bool:
        return not self._was_renewed(then) and self._last_use(token, then) is not None

    def _was_renewed(self, then: Operation) -> bool:
        return any(
            each.effect in (Effect.RENEWS, Effect.SIGNS_IN) and each.overlaps(then)
            for each in self.moves
        )

    def was_there(self, token: Token, then: Operation) -> bool:
        """Whether a token that was seen later is surely one that worked by then."""
        return token.issued.ended < then.started and self._last_use(token, then) is not None

    def last_seen(self, token: Token) -> Operation | None:
        """The last look at a session by this token."""
        looks = [read for read in self.reads if read.live and read.token == token.token]
        return max(looks, key=lambda read: read.started, default=None)

    def _last_use(self, token: Token, then: Operation) -> Operation | None:
        """A use of the token so shortly before that it can't have idled out, if there is one."""
        if self.leapt:
            return None
        uses = [token.issued, *(r for r in self.reads if r.live and r.token == token.token)]
        for use in reversed(uses):
            if use.ended >= then.started or not self._touched(use):
                continue
            left = use.started + self.times.surely_live - then.ended
            if left > 0 and left > self._slowest(use.started, then.ended):
                return use
        return None

    def _slowest(self, began: float, ended: float) -> float:
        """How long an operation meanwhile took: it may have saved by what its clock said before."""
        meanwhile = [each for each in self.all if each.started < ended and each.ended > began]
        took = (UNANSWERED if e.unanswered else e.ended - e.started for e in meanwhile)
        return max(took, default=0)

    def _touched(self, use: Operation) -> bool:
        answered = use.status is not None and use.status < 500
        failed = {"ChangeDropped", NOT_TOUCHED} & set(use.events)
        return answered and not failed and not self.history.was_out(use)

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
        if not self.leapt and last.ended + self.times.surely_dead < read.started:
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
            for end in (*self.ends, *self._limits(token))
            if end.started < read.ended and token.issued.started < end.ended
        ]
        if excuses:
            return
        use = self._last_use(token, read)
        if use is not None:
            yield self._violation("lost", "a session was gone that nothing ended", use, read)

    def _limits(self, token: Token) -> list[Operation]:
        """The sign-ins that may have ended it, to keep its user's sessions few."""
        user = token.user
        return [each for each in self.limiting if each.signs_in_as == user] if user else []

    def _check_look(self, merge: Operation, look: Look) -> Iterator[Violation]:
        """Merging is a look at the session that is merged into another, or two."""
        token = self.tokens.get(look.token)
        if token is None:
            return
        read = replace(
            merge, lineage=self.number, token=token.token, live=look.live, user=token.user,
            values=look.values, flash=look.flash, count=look.count,
        )  # fmt: skip
        if not look.live:
            yield from self._check_gone(read)
            return
        if token.user not in (None, merge.user):
            text = f"a session of {token.user} was merged into one of {merge.user}"
            yield self._violation("user", text, token.issued, merge)
        yield from self._check_alive(read)
        if look.last:
            # Whatever was saved to it was saved before, and nothing else may be taken.
            read = replace(read, started=math.inf, ended=math.inf)
        found = [*self._check_count(read)]
        if not (look.last and merge.number in self.crossing):
            found += self._check_values(read, look.unsure)
            found += self._check_flash(read, look.unsure)
        for violation in found:
            yield replace(violation, proof=(*violation.proof[:-1], merge))

    def _check_one_end(self) -> Iterator[Violation]:
        """Of all who merge a session into others or sign it out only one is told that it did.

        Two sessions that are merged into each other at the same time would both be gone.
        """
        told = [each for each in self.absorbing if self._is_told(each, MERGED)]
        told += [
            each
            for each in self.own
            if each.name == "sign_out" and self._is_told(each, "SessionEnded")
        ]
        if len(told) > 1:
            yield self._violation("ended", "a session was ended twice", *told)
        for merge in told:
            for other in self.own:
                # With a forgotten token it would have been merged into a new one.
                crossed = other.absorbs == merge.target and other.target == self.number
                if crossed and self._is_told(other, MERGED) and self.number < merge.target:
                    text = "two sessions were merged into each other"
                    yield self._violation("ended", text, merge, other)

    def _is_told(self, operation: Operation, event: str) -> bool:
        return operation.outcome is Outcome.DONE and event in operation.events

    def _check_count(self, read: Operation) -> Iterator[Violation]:
        """A session has counted as far as those who counted on, and no further."""
        least, most = self._counted_by(read)
        right = self.leapt or read.count is None or least <= read.count <= most
        if not right:
            text = f"it counted {read.count}, not {least} to {most}"
            yield self._violation("count", text, *self._counts_before(read), read)

    def _check_counting(self) -> Iterator[Violation]:
        """Who counts on under the lock counts one more than anybody before."""
        by_number: dict[int, Operation] = {}
        for count in self.counts:
            if self.leapt or count.counted is None or count.outcome is not Outcome.DONE:
                continue
            least, most = self._counted_by(count)
            if not least < count.counted <= most + 1:
                text = f"it counted to {count.counted}, not to {least + 1} to {most + 1}"
                yield self._violation("count", text, *self._counts_before(count), count)
            elif count.counted in by_number:
                other = by_number[count.counted]
                yield self._violation("count", f"two counted to {count.counted}", other, count)
            by_number[count.counted] = count

    def _counted_by(self, read: Operation) -> tuple[int, int]:
        """How often it was counted on, surely and perhaps."""
        others = [each for each in self.counts if each is not read]
        done = [each for each in others if each.outcome is Outcome.DONE]
        return (
            sum(each.ended < read.started for each in done),
            sum(each.started < read.ended for each in others),
        )

    def _counts_before(self, read: Operation) -> list[Operation]:
        """The last ones, to show."""
        return [each for each in self.counts if each.started < read.ended and each is not read][-3:]

    def _check_values(self, read: Operation, unsure: _Unsure = frozenset()) -> Iterator[Violation]:
        """Of keys that are `unsure` nobody knows whether they were there."""
        for key in (self.writes.keys() | read.values.keys()) - unsure:
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
        merges = [w for w in self.writes[key] if w.absorbs and w.writes[key] == value]
        writer = max(merges, key=lambda each: each.ended, default=self.by_number.get(number))
        if lineage != self.number and not merges:
            if not self._may_have_merged(read):
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

    def _may_have_merged(self, read: Operation) -> bool:
        """Whether nobody can tell what was taken over from other sessions."""
        return any(merge.started < read.ended for merge in self.merging)

    def _lies_between(self, write: Operation, after: float, read: Operation) -> bool:
        done = write.outcome is Outcome.DONE
        return done and write.started > after and write.ended < read.started

    def _check_flash(self, read: Operation, unsure: _Unsure = frozenset()) -> Iterator[Violation]:
        pushed = {message for _, message in self.pushes}
        for message in read.flash:
            if message in pushed:
                continue
            if writer_of(message)[0] == self.number:
                yield self._violation("phantom", f"{message} was never pushed", read)
            elif not self._may_have_merged(read):
                yield self._violation("foreign", f"{message} is another session's", read)
        for push, message in self.pushes:
            if message not in unsure:
                yield from self._check_message(push, message, read)

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
        if read.issued is None or read.effect is Effect.SIGNS_IN or self.leapt:
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
