"""The clients: threads with browsers that they share, each doing what a generator of its own says.

A browser keeps the last cookie that it was sent, as all do, whatever was sent in what order.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

from harness.servers.ports import LOOPBACK
from tests.faults.history import (
    NO_LINEAGE,
    Effect,
    History,
    Look,
    Operation,
    Outcome,
    Value,
    writer_of,
)
from tests.faults.interrupts import INTERRUPTED
from tests.faults.server import COOKIE, EVENTS, LEAPT, MERGED, OTHER_COOKIE

PATIENCE: Final = 20.0  # seconds for one answer
USERS: Final = ("ann", "bob", "cleo")
KEYS: Final = ("a", "b", "c")

_ACTIONS: Final = {
    "show": 24.0,
    "set": 20.0,
    "delete": 6.0,
    "clear": 1.0,
    "nest": 9.0,
    "push": 9.0,
    "pop": 6.0,
    "count": 6.0,
    "merge": 2.0,
    "renew": 4.0,
    "sign_in": 4.0,
    "sign_up": 1.5,
    "sign_out": 1.5,
    "replace": 0.7,
    "revoke": 1.0,
    "revoke_all": 0.2,
    "cross": 0.5,
}
_ENDINGS: Final = {
    "return": 86.0,
    "302": 4.0,
    "409": 2.0,
    "500": 3.0,
    "commit_fails": 3.0,
    "retried": 2.0,
}
_DATABASE: Final = {"none": 62.0, "read": 11.0, "read_first": 12.0, "write": 15.0}
"""How the view uses its dbsession; `read_first` reads before it looks at the session."""
_EFFECTS: Final = {
    "renew": Effect.RENEWS,
    "sign_in": Effect.SIGNS_IN,
    "sign_up": Effect.SIGNS_IN,
    "sign_out": Effect.ENDS,
    "replace": Effect.ENDS,
    "revoke": Effect.ENDS,
}
# Ending other people's sessions is no part of the request's own transaction.
_APART: Final = ("revoke", "revoke_all", "cross")
_SELDOM: Final = 0.03
"""How often a client turns to one of many other browsers, whose sessions idle out."""
_LASTING: Final = 0.04
"""How often to one of a few whose sessions are never renewed, and live by being touched."""
_STALE: Final = 0.06
"""How often a request bears an older token of its browser: a late one, or a thief's."""


class Unsent(Exception):
    """The server was not there; nothing was sent."""


@dataclass(slots=True)
class Browser:
    """A cookie jar that several clients share, as tabs do; single assignments need no lock."""

    token: str | None = None
    shown: tuple[int, str] = (NO_LINEAGE, "none")
    """The lineage and the handle that it was shown last."""
    lasting: bool = False
    """Whether nobody renews its session or ends it."""
    older: list[str] = field(default_factory=list)

    def take(self, cookie: str | None, *, deleted: bool) -> None:
        """Keep a cookie as sent, or forget the one that is kept."""
        if self.token is not None and (cookie is not None or deleted):
            self.older = [*self.older[-3:], self.token]
        if cookie is not None or deleted:
            self.token = cookie


class Browsers:
    """A few that everybody uses at once, many that are seldom used, and some that last."""

    def __init__(self, clients: int) -> None:
        self.hot = [Browser() for _ in range(max(1, clients // 2))]
        self._seldom = [Browser() for _ in range(60)]
        self._lasting = [Browser(lasting=True) for _ in range(6)]

    def drawn(self, chance: float) -> Sequence[Browser]:
        """Those of one kind, for a number from 0 to 1."""
        if chance < _SELDOM:
            return self._seldom
        return self._lasting if chance < _SELDOM + _LASTING else self.hot


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done, decided without a look at what was answered before."""

    number: int
    action: str
    key: str
    user: str
    database: str
    ending: str

    @classmethod
    def drawn(cls, number: int, dice: random.Random) -> Plan:
        """A plan by chance; each draws as often, so that a seed repeats all that follow."""
        action, ending, database = (
            dice.choices(list(table), list(table.values()))[0]
            for table in (_ACTIONS, _ENDINGS, _DATABASE)
        )
        user, key = dice.choice(USERS), dice.choice(KEYS)
        if action in _APART:
            ending, database = "return", "none"
        if action == "sign_up":
            user = f"s{number}"
            database = "write"
        if action == "count":
            # The block is saved whatever becomes of the request: a second attempt counts twice.
            # On SQLite it would wait for the request's own transaction.
            ending = "return" if ending == "retried" else ending
            database = "none"
        return cls(
            number=number, action=action, key=key, user=user, database=database, ending=ending
        )

    def harmless(self) -> Plan:
        """The same, if it leaves the token as it is; else a look."""
        return self if self.effect is Effect.KEEPS else replace(self, action="show")

    @property
    def effect(self) -> Effect:
        """What becomes of the token."""
        return _EFFECTS.get(self.action, Effect.KEEPS)

    def expected(self, operation: Operation) -> None:
        """Note down what may have happened, should no answer come."""
        stamp = f"{operation.lineage}.{self.number}"
        operation.target = operation.lineage
        operation.effect, operation.ending = self.effect, self.ending
        operation.pops, operation.counts = self.action == "pop", self.action == "count"
        operation.joined = self.database == "write" and self.ending in ("return", "retried")
        writes: dict[str, dict[str, Value | None]] = {
            "set": {self.key: stamp},
            "delete": {self.key: None},
            "clear": dict.fromkeys((*KEYS, "cart")),
            "nest": {"cart": [stamp]},
        }
        operation.writes = writes.get(self.action, {})
        operation.pushed = stamp if self.action == "push" else None
        operation.revokes = self.user if self.action == "revoke_all" else None
        signs_in = self.effect is Effect.SIGNS_IN
        operation.signs_in_as = self.user if signs_in else None


class Client:
    """One thread's connections, dice and view of the world."""

    def __init__(
        self,
        name: str,
        ports: Sequence[int],
        history: History,
        browsers: Browsers,
        *,
        closes: bool = False,
        leaps: bool = False,
    ) -> None:
        """`closes`: whether each request has a connection of its own, so that all processes behind
        a port get some; `leaps`: whether a clock may be wrong of which nobody is told.
        """
        self._dice = random.Random(name)
        self._closes, self._leaps = closes, leaps
        self._ports, self._history, self._browsers = ports, history, browsers
        self._connections: dict[int, http.client.HTTPConnection] = {}

    def work(self, counter: Counter) -> None:
        """Act until there is no next number."""
        while (number := counter.next()) is not None:
            if self.act(number):
                counter.note_answer()
            else:
                # A server, or the database, is down: let it come up.
                time.sleep(0.03)
        for connection in self._connections.values():
            connection.close()

    def act(self, number: int) -> bool:
        """Do something by chance; whether it was answered."""
        plan = Plan.drawn(number, self._dice)
        port = self._dice.choice(self._ports)
        # An operation apart is not done with anybody's session, so its answer is nobody's.
        browser, token = self._browser()
        if browser.lasting:
            plan = plan.harmless()
        forget = self._dice.random() < 0.5
        operation, told = self._prepared(plan, token, self._dice.choice(self._browsers.hot))
        try:
            response, answer = self._request(port, told, _cookies(operation))
        except Unsent:
            return False
        except (OSError, http.client.HTTPException):
            self._history.add(operation)
            return False
        if response.status != INTERRUPTED:
            operation.ended = time.monotonic()
        understood = _understand(operation, plan, response, answer)
        self._history.add(operation)
        if plan.action not in _APART:
            deleted = "Max-Age=0" in (response.getheader("Set-Cookie") or "")
            _remember(browser, operation, answer, deleted=deleted, forget=forget)
        return understood

    def _browser(self) -> tuple[Browser, str | None]:
        """A browser, and which of its tokens is sent."""
        pool = self._browsers.drawn(self._dice.random())
        browser = self._dice.choice(pool)
        stale, which = self._dice.random() < _STALE, self._dice.random()
        older = browser.older
        if stale and older:
            return browser, older[int(which * len(older))]
        return browser, browser.token

    def _prepared(
        self, plan: Plan, token: str | None, victim: Browser
    ) -> tuple[Operation, dict[str, Any]]:
        """The operation as far as it is known before, and what the server is told."""
        operation = Operation(
            number=plan.number, name=plan.action, started=time.monotonic(), leapt=self._leaps
        )
        told = {name: getattr(plan, name) for name in Plan.__slots__}
        if plan.action == "revoke":
            operation.lineage, told["handle"] = victim.shown
        elif plan.action != "revoke_all":
            if plan.action == "merge":
                operation.other = told["other"] = victim.token or ""
                operation.absorbs = self._history.lineage_of(operation.other)
                operation.merging = True
            operation.token, operation.lineage = token, self._history.lineage_of(token)
        plan.expected(operation)
        return operation, told | {
            "lineage": operation.lineage,
            "other_lineage": operation.absorbs,
        }

    def _request(
        self, port: int, told: dict[str, Any], headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, dict[str, Any]]:
        """The response and the view's answer, empty if that is not what it was."""
        connection = self._connection(port)
        if self._closes:
            headers = headers | {"Connection": "close"}
        try:
            connection.request("GET", f"/?{urlencode(told)}", headers=headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            del self._connections[port]
            raise
        is_ours = (response.getheader("Content-Type") or "").startswith("application/json")
        return response, json.loads(text) if is_ours else {}

    def _connection(self, port: int) -> http.client.HTTPConnection:
        if port not in self._connections:
            connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE)
            try:
                connection.connect()
            except OSError as error:
                raise Unsent from error
            self._connections[port] = connection
        return self._connections[port]


def _cookies(operation: Operation) -> dict[str, str]:
    if operation.token is None:
        return {}
    name = OTHER_COOKIE if operation.name == "cross" else COOKIE
    return {"Cookie": f"{name}={operation.token}"}


def _remember(
    browser: Browser, operation: Operation, answer: dict[str, Any], *, deleted: bool, forget: bool
) -> None:
    """What a browser keeps of an answer."""
    browser.take(operation.issued, deleted=deleted)
    if answer.get("handle") and operation.lineage:
        browser.shown = operation.lineage, answer["handle"]
    # A token that is void would be sent for ever; some close the browser, some go on.
    if answer and not answer["live"] and operation.issued is None and forget:
        browser.take(None, deleted=True)


def _understand(
    operation: Operation,
    plan: Plan,
    response: http.client.HTTPResponse,
    answer: dict[str, Any],
) -> bool:
    """Complete an operation by its answer; whether that was the view's own."""
    operation.status = response.status
    operation.events = tuple(filter(None, (response.getheader(EVENTS) or "").split(",")))
    if (leapt := response.getheader(LEAPT)) is not None:
        operation.leapt = leapt == "yes"
    operation.issued = _token_of(response.getheader("Set-Cookie"))
    if "live" not in answer:
        return False
    if plan.action == "revoke_all":
        operation.outcome = Outcome.DONE
        return True
    if plan.action == "revoke":
        # It is done with the response; what had that handle may be gone by then, or have another.
        told = "SessionEnded" in operation.events
        operation.outcome = Outcome.DONE if told else Outcome.NOT_DONE
        return True
    operation.live, operation.user = answer["live"], answer["user"]
    operation.values, operation.flash = answer["values"], answer["flash"]
    operation.count = answer["count"] if operation.live else None
    if plan.database == "write":
        operation.note = operation.joined
    if operation.effect is Effect.ENDS and not operation.live:
        operation.effect = Effect.KEEPS
    done = _was_done(operation, plan, answer)
    operation.outcome = Outcome.DONE if done else Outcome.NOT_DONE
    _understand_changes(operation, plan, answer)
    return True


def _understand_changes(operation: Operation, plan: Plan, answer: dict[str, Any]) -> None:
    """What was written, in place of what might have been."""
    began_another = operation.issued is not None and "SessionStarted" in operation.events
    if began_another:
        operation.target = operation.number
    if plan.action == "clear":
        # It removes what it saw, nothing else.
        operation.writes = dict.fromkeys(operation.values)
    elif plan.action == "delete":
        operation.writes = {plan.key: None} if plan.key in operation.values else {}
    elif plan.action != "replace" or began_another:
        operation.writes = answer.get("wrote", {})
    operation.pushed, operation.popped = answer.get("pushed"), answer.get("popped", [])
    operation.counted = answer.get("counted")
    if plan.action == "merge":
        _understand_merge(operation, answer)


def _understand_merge(operation: Operation, answer: dict[str, Any]) -> None:
    """What it found at its call, and what its save took over.

    If the other session was ended or renewed between the two, nothing is taken, and no event told.
    """
    other, token, found = operation.absorbs, operation.other or "", answer.get("merged")
    merged = MERGED in operation.events
    operation.merging = False
    if not merged:
        operation.absorbs = NO_LINEAGE
    if found:
        called = answer["called"]
        values, took = _news(operation, called)
        # What both held alike can't be told: ours was merged into the other just then, perhaps.
        same = frozenset(operation.values.keys() - values.keys()) | frozenset(operation.flash)
        operation.looks.append(
            Look(
                lineage=other, token=token, live=True, values=values, flash=took,
                count=called["count"], unsure=same,
            )
        )  # fmt: skip
    if merged:
        saved = answer["saved"]
        values, took = _news(operation, saved)
        # Of what is its own, other operations at the same time made the news.
        mine = operation.target
        values = {key: value for key, value in values.items() if writer_of(value)[0] != mine}
        operation.took = [text for text in took if writer_of(text)[0] != mine]
        operation.writes = {**values}
        operation.looks.append(
            Look(
                lineage=other, token=token, live=True, values=values,
                flash=operation.took, count=saved["count"], last=True,
            )
        )  # fmt: skip
    elif found is False or (found and operation.outcome is Outcome.DONE):
        operation.looks.append(Look(lineage=other, token=token, live=False))


def _news(operation: Operation, held: dict[str, Any]) -> tuple[dict[str, Value], list[str]]:
    """The values and messages that a session did not hold before. Each is written only once."""
    before = operation.values
    values = {key: value for key, value in held["values"].items() if value != before.get(key)}
    return values, [text for text in held["flash"] if text not in operation.flash]


def _was_done(operation: Operation, plan: Plan, answer: dict[str, Any]) -> bool:
    if operation.effect is Effect.ENDS:
        return True  # whatever the status
    if operation.counts and (operation.live or "counted" not in answer):
        return "counted" in answer  # whatever the status, again
    had_effect = operation.live or operation.issued is not None
    return bool(had_effect) and plan.ending != "500" and "ChangeDropped" not in operation.events


def _token_of(cookie: str | None) -> str | None:
    if cookie is None or "Max-Age=0" in cookie:
        return None
    return cookie.partition(";")[0].partition("=")[2] or None


class Counter:
    """Hands out the numbers of operations until enough of them were answered."""

    def __init__(self, wanted: int | None, seconds: float) -> None:
        """Without a number wanted it goes on until the time is up."""
        self.started, self.answered = 0, 0
        self._wanted, self._seconds, self._began = wanted, seconds, time.monotonic()
        self._lock = threading.Lock()

    def next(self) -> int | None:
        """The next number, None when it is over."""
        with self._lock:
            if self.over:
                return None
            self.started += 1
            return self.started

    def note_answer(self) -> None:
        """One more was answered."""
        with self._lock:
            self.answered += 1

    @property
    def progress(self) -> float:
        """The part that is done, from 0 to 1."""
        if self._wanted is None:
            return self._used_up
        return self.answered / self._wanted

    @property
    def over(self) -> bool:
        """Whether enough was done, or time is up."""
        return self.progress >= 1 or self._used_up >= 1

    @property
    def complete(self) -> bool:
        """Whether enough was done."""
        return self.progress >= 1

    @property
    def _used_up(self) -> float:
        return (time.monotonic() - self._began) / self._seconds
