"""The checker, run for a few seconds on each database; and its checks, tried on short stories."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from webtest import TestApp

from harness.servers.server import Server
from myapp.sessions import get_manager
from tests.faults.checker import Run, carry_out
from tests.faults.checks import Times, check
from tests.faults.client import Plan
from tests.faults.history import Effect, History, Look, Operation, Outcome, Violation
from tests.faults.interrupts import INTERRUPTED
from tests.faults.server import EVENTS, NOT_TOUCHED, RACED, listening_to_the_log, make_app
from tests.sessions.app import HTTPS, create_table

TIMES = Times(idle=5, touch=1, per_user=2)
Steps = list[dict[str, Any]]

UNKNOWN: dict[str, Any] = {"outcome": Outcome.UNKNOWN, "live": None, "status": None}
# What these saw is left open.
RENEW: dict[str, Any] = {"live": None, "effect": Effect.RENEWS, "events": ("SessionRenewed",)}
END: dict[str, Any] = {"live": None, "effect": Effect.ENDS, "events": ("SessionEnded",)}
GONE: dict[str, Any] = {"live": False}
SET: dict[str, Any] = {"live": None, "writes": {"a": "1.2"}}
OTHER: dict[str, Any] = {"live": None, "writes": {"a": "1.3"}}
REMOVE: dict[str, Any] = {"live": None, "writes": {"a": None}}
PUSH: dict[str, Any] = {"live": None, "pushed": "1.2"}
POP: dict[str, Any] = {"live": None, "pops": True, "popped": ["1.2"]}
COUNT: dict[str, Any] = {"counts": True, "count": 0, "counted": 1}
COUNT_ON: dict[str, Any] = {"counts": True, "count": 1, "counted": 2}


def look(values: dict[str, Any], flash: list[str], **fields: Any) -> Look:
    """A look at the session that began as operation 2, or at another that is to be merged."""
    given: dict[str, Any] = {"lineage": 2, "token": "O", "live": True}
    return Look(**given | {"values": values, "flash": flash} | fields)


def merge(
    values: dict[str, Any],
    flash: list[str] | None = None,
    called: Look | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """It is merged into the first with these contents, which it had at the call unless told."""
    took = flash or []
    other = {"lineage": fields.get("absorbs", 2), "token": fields.get("other", "O")}
    looks = [called or look(values, took, **other), look(values, took, last=True, **other)]
    given = {"absorbs": 2, "other": "O", "writes": values, "took": took, "events": ("Merged",)}
    return given | {"looks": looks} | fields


# Another session begins as operation 2, and is merged into the first with what it holds.
BEGIN: dict[str, Any] = {
    "live": False, "token": None, "lineage": 0, "target": 2, "issued": "O",
    "events": ("SessionStarted",), "writes": {"b": "2.2"},
}  # fmt: skip
MERGE = merge({"b": "2.2"})
MERGE_DROPPED: dict[str, Any] = {
    "other": "O", "outcome": Outcome.NOT_DONE, "events": ("ChangeDropped",),
    "looks": [look({"b": "2.2"}, [])],
}  # fmt: skip
# It was there at the call, and when the first was saved it was not.
MERGE_TOO_LATE: dict[str, Any] = {
    "other": "O", "looks": [look({"b": "2.2"}, []), look({}, [], live=False)],
}  # fmt: skip
MERGE_OF_NOTHING: dict[str, Any] = {"other": "O", "looks": [look({}, [], live=False)]}
THE_OTHER: dict[str, Any] = {"token": "O", "lineage": 2, "target": 2}
MERGE_UNANSWERED: dict[str, Any] = {
    "absorbs": 2, "other": "O", "merging": True, "until": 9, **UNKNOWN,
}  # fmt: skip
POP_IN_VAIN: dict[str, Any] = {"live": None, "pops": True}


@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mariadb"])
def test_nothing_is_lost_while_servers_and_databases_are_killed(
    name: str, request: pytest.FixtureRequest
) -> None:
    """S3, S4, S5, S6, S7, S9, S13, I4, R1, R3, R8, W1, L4, L10: by chance, in parallel."""
    server: Server | None = None if name == "sqlite" else request.getfixturevalue(name)
    run = Run(database=name, operations=700, seed="short", kill_servers=2, kill_database=1)
    report = carry_out(run, server)
    assert report.complete, report.text()
    assert not report.violations, report.text()
    assert report.faults.servers_killed == 2
    assert report.faults.databases_killed == (name != "sqlite")
    assert "conflicts merged" in report.text()
    assert any(operation.counted for operation in report.history.operations)


class Story:
    """A history of one session that began as operation 1 with token T, told second by second."""

    def __init__(self) -> None:
        self.history = History()
        self.tell("set", 0, live=False, token=None, lineage=0, issued="T", events=("Started",))

    def tell(self, name: str, at: float, until: float | None = None, **fields: Any) -> Operation:
        """One more operation; without anything else it sees the session and does nothing."""
        given: dict[str, Any] = {
            "number": len(self.history.operations) + 1,
            "name": name,
            "started": at,
            "ended": at + 0.1 if until is None else until,
            "outcome": Outcome.DONE,
            "token": "T",
            "lineage": 1,
            "target": 1,
            "live": True,
            "status": 200,
        }
        operation = Operation(**given | fields)
        self.history.add(operation)
        return operation

    def go_on(self, steps: Steps) -> None:
        """Tell these steps, one a second unless they say when."""
        for second, step in enumerate(steps, 1):
            given: dict[str, Any] = {"name": "show", "at": second}
            self.tell(**given | step)

    def rules(self) -> list[str]:
        """What is found in it."""
        return [violation.rule for violation in check(self.history, TIMES)]


RIGHT: dict[str, Steps] = {
    "a transaction loses its last race": [UNKNOWN | {"status": 503, "events": (RACED,)}],
    "a clock was wrong that said when a session ends": [{"leapt": True}, GONE],
    "an interrupted write may come late": [
        SET | UNKNOWN | {"status": INTERRUPTED, "until": 9}, OTHER, {"values": {"a": "1.2"}},
    ],
    "nothing": [{}],
    "an error was asked for": [{"status": 500, "ending": "500"}],
    "a write is read": [SET, {"values": {"a": "1.2"}}],
    "a write is overwritten": [SET, OTHER, {"values": {"a": "1.3"}}],
    "a removal removes": [SET, REMOVE, {}],
    "of two at once either wins": [
        SET | {"until": 2.5}, OTHER, {"at": 3, "values": {"a": "1.2"}},
    ],
    "a removal at the same time may be the later": [SET | {"until": 2.5}, REMOVE, {"at": 3}],
    "an unknown removal may have been made": [SET, REMOVE | UNKNOWN | {"until": 9}, {}],
    "an unknown write may have been made": [SET | UNKNOWN, {"values": {"a": "1.2"}}],
    "an unknown write may not have been made": [SET | UNKNOWN, {}],
    "an unknown write may come late": [
        SET | UNKNOWN | {"until": 9}, OTHER, {"values": {"a": "1.2"}},
    ],
    "a dropped write is not there": [SET | {"outcome": Outcome.NOT_DONE}, {}],
    "what began before a write was answered may not see it": [SET | {"until": 3}, {}],
    "an ended session is gone": [END, GONE],
    "a request under way sees what is being ended": [END | {"until": 3}, {}],
    "an unknown ending may be one": [END | UNKNOWN | {"until": 9}, GONE],
    "an unknown ending may be none": [END | UNKNOWN | {"until": 9}, {}],
    "a renewed token is void": [RENEW | {"issued": "N"}, GONE, {"token": "N"}],
    "a write survives a renewal": [
        SET, RENEW | {"issued": "N"}, {"token": "N", "values": {"a": "1.2"}},
    ],
    "a session idles out": [{"at": 9} | GONE],
    "a message is popped once": [PUSH, POP, {}],
    "two that pop at once may both show it": [
        PUSH,
        POP | {"live": True, "flash": ["1.2"], "until": 4},
        POP | {"live": True, "flash": ["1.2"], "until": 4},
    ],
    "an unknown pop may have taken it": [PUSH, POP_IN_VAIN | UNKNOWN | {"until": 9}, {}],
    "a message stays until it is popped": [PUSH, {"flash": ["1.2"]}],
    "each counts one on": [COUNT, COUNT_ON, {"count": 2}],
    "of two that count at once either is first": [
        COUNT | {"until": 4}, COUNT | {"until": 4, "counted": 2}, {"at": 4.5, "count": 2},
    ],
    "an unknown count may have been made": [COUNT | UNKNOWN | {"counted": None}, {"count": 1}],
    "an unknown count may not have been made": [COUNT | UNKNOWN | {"counted": None}, {"count": 0}],
    "who does not get the lock counts nothing": [
        COUNT | {"counted": None, "outcome": Outcome.NOT_DONE}, {"count": 0},
    ],
    "what is merged comes over": [
        BEGIN, MERGE, {"values": {"b": "2.2"}}, THE_OTHER | {"live": False},
    ],
    "what was merged may be overwritten": [
        BEGIN, MERGE, SET | {"writes": {"b": "1.4"}}, {"values": {"b": "1.4"}},
    ],
    "a message that is merged comes over": [
        BEGIN | {"pushed": "2.2"}, merge({"b": "2.2"}, ["2.2"]),
        {"values": {"b": "2.2"}, "flash": ["2.2"]},
    ],
    "nobody knows what came of a merge without an answer": [
        BEGIN, MERGE_UNANSWERED, {"values": {"b": "2.2"}}, THE_OTHER | {"live": False},
    ],
    "or whether it was made": [
        BEGIN, MERGE_UNANSWERED, {}, THE_OTHER | {"values": {"b": "2.2"}},
    ],
    "a merge that was dropped leaves both": [
        BEGIN, MERGE_DROPPED, {}, THE_OTHER | {"values": {"b": "2.2"}},
    ],
    "what is stored in the other between call and save comes over": [
        BEGIN,
        merge({"b": "2.2", "a": "2.4"}, ["2.5"], look({"b": "2.2"}, []), at=2, until=4),
        THE_OTHER | SET | {"at": 2.5, "values": {"b": "2.2"}, "writes": {"a": "2.4"}},
        THE_OTHER | PUSH | {"at": 3, "pushed": "2.5"},
        {"values": {"b": "2.2", "a": "2.4"}, "flash": ["2.5"]},
    ],
    "what is removed there between call and save does not": [
        BEGIN,
        merge({}, [], look({"b": "2.2"}, []), at=2, until=4),
        THE_OTHER | REMOVE | {"at": 2.5, "values": {"b": "2.2"}, "writes": {"b": None}},
        {},
    ],
    "what is counted there between call and save comes over": [
        BEGIN | {"count": 0},
        merge({"b": "2.2"}, looks=[
            look({"b": "2.2"}, [], count=0), look({"b": "2.2"}, [], count=1, last=True),
        ], at=2, until=4),
        THE_OTHER | COUNT | {"at": 2.5, "values": {"b": "2.2"}},
        {"values": {"b": "2.2"}, "count": 0},
    ],
    "of what was ended between call and save nothing comes over": [
        SET | {"writes": {"b": "1.2"}},
        BEGIN | {"issued": "O", "number": 3, "target": 3, "writes": {"b": "3.3"}},
        {"at": 3, "until": 4, "values": {"b": "1.2"}, "other": "O", "looks": [
            look({"b": "3.3"}, [], lineage=3), look({}, [], lineage=3, live=False),
        ]},
        END | {"at": 3.2, "token": "O", "lineage": 3, "target": 3},
        {"values": {"b": "1.2"}},
    ],
    "what is renewed between call and save lives on": [
        BEGIN, MERGE_TOO_LATE | {"until": 3},
        THE_OTHER | RENEW | {"issued": "N", "at": 2.5},
        THE_OTHER | {"token": "N", "values": {"b": "2.2"}},
        {},
    ],
    "what was ended before is not found": [BEGIN, THE_OTHER | END, MERGE_OF_NOTHING],
    "what is merged by another at the same time may be gone": [
        BEGIN, MERGE | {"until": 4},
        MERGE_TOO_LATE | {"at": 2.5, "until": 4.2, "live": False, "token": None, "lineage": 0,
                          "target": 0, "outcome": Outcome.NOT_DONE},
        {"at": 4.5, "values": {"b": "2.2"}},
    ],
    "of two that are merged into each other one wins": [
        BEGIN, MERGE | {"until": 4},
        THE_OTHER | {"at": 2.5, "until": 4, "values": {"b": "2.2"}, "other": "T",
                     "outcome": Outcome.NOT_DONE, "events": ("ChangeDropped",),
                     "looks": [look({"b": "2.2"}, [], lineage=1, token="T",
                                    unsure=frozenset({"b"}))]},
        {"at": 4.5, "values": {"b": "2.2"}},
    ],
    "who comes with a token long forgotten takes it over into a new session": [
        BEGIN, MERGE,
        merge({"b": "2.2"}, absorbs=1, other="T", at=2.5, token="O", lineage=2, target=4,
              live=False, issued="P", events=("SessionStarted", "Merged")),
        {"token": "P", "lineage": 4, "target": 4, "values": {"b": "2.2"}},
    ],
    "perhaps even what it has become itself": [
        RENEW | {"issued": "N"}, MERGE_UNANSWERED | {"absorbs": 1, "other": "N"},
        GONE | {"token": "N"},
    ],
    "what comes from which of two that are merged at once can't be told": [
        BEGIN, BEGIN | {"issued": "P", "target": 3, "writes": {"c": "3.3"}},
        merge({"b": "2.2", "c": "3.3"}, called=look({"b": "2.2"}, []), at=2.5, until=4),
        merge({"c": "3.3"}, absorbs=3, other="P", at=2.5, until=4),
        {"at": 4.5, "values": {"b": "2.2", "c": "3.3"}},
    ],
    "a save that took long may have brought the end nearer": [
        {}, SET | {"at": 1.2, "until": 2.4}, {"at": 2.5} | GONE,
    ],
    "signing in starts afresh with a void token": [
        RENEW | {"issued": "N"},
        GONE | {"effect": Effect.SIGNS_IN, "issued": "M", "events": ("SessionStarted",),
                "signs_in_as": "ann", "target": 3},
        {"token": "M", "lineage": 3, "target": 3, "user": "ann"},
    ],
    "another user's sign-in begins another session": [
        {"effect": Effect.SIGNS_IN, "issued": "N", "events": ("SessionRenewed",),
         "signs_in_as": "ann"},
        {"token": "N", "user": "ann", "effect": Effect.SIGNS_IN, "issued": "M",
         "events": ("SessionRenewed",), "signs_in_as": "bob"},
        {"token": "M", "lineage": 3, "target": 3, "user": "bob"},
    ],
}  # fmt: skip


def signed_in(token: str, at: float, **fields: Any) -> dict[str, Any]:
    """Another session begins, and Ann is signed in to it."""
    number = int(token[1:])
    return {
        "at": at, "token": None, "lineage": 0, "target": number, "live": False, "issued": token,
        "events": ("SessionStarted",), "effect": Effect.SIGNS_IN, "signs_in_as": "ann",
    } | fields  # fmt: skip


def seen(token: str, at: float, **fields: Any) -> dict[str, Any]:
    """Ann's session is seen."""
    number = int(token[1:])
    return {"at": at, "token": token, "lineage": number, "target": number, "user": "ann"} | fields


# Two may Ann have.
THREE_SESSIONS = [signed_in("T2", 1), signed_in("T3", 1.2), signed_in("T4", 1.4)]
RIGHT |= {
    "a user has as many sessions as allowed": [
        *THREE_SESSIONS[:2], seen("T2", 2), seen("T3", 2.2),
    ],
    "the oldest is ended": [
        *THREE_SESSIONS[:2], signed_in("T4", 1.4, events=("SessionStarted", "Limited")),
        seen("T2", 2, live=False, user=None), seen("T3", 2.2), seen("T4", 2.4),
    ],
    "a sign-in without an answer may have ended it": [
        *THREE_SESSIONS[:2], signed_in("T4", 1.4, issued=None, **UNKNOWN),
        seen("T2", 2, live=False, user=None),
    ],
    "one that began at the same time may be there too": [
        *THREE_SESSIONS[:2], signed_in("T4", 1.25),
        seen("T2", 2), seen("T3", 2.2), seen("T4", 2.4),
    ],
    "one that had idled out for some clock may be there too": [
        signed_in("T2", 0.2), signed_in("T3", 3), signed_in("T4", 3.2),
        seen("T2", 3.4), seen("T3", 3.6), seen("T4", 3.8),
    ],
}  # fmt: skip

WRONG: dict[str, tuple[str, Steps]] = {
    "a request is refused though the database is there": (
        "outage", [UNKNOWN | {"status": 503}],
    ),
    "a race is lost for good": ("error", [SET | UNKNOWN | {"status": 500}]),
    "a write is lost": ("write", [SET, {}]),
    "a write is undone": ("write", [SET, OTHER, {"values": {"a": "1.2"}}]),
    "a removal is undone": ("write", [SET, REMOVE, {"values": {"a": "1.2"}}]),
    "a write is lost that nobody's later removal excuses": ("write", [REMOVE, OTHER, {}]),
    "a write is changed": (
        "write",
        [{"writes": {"cart": ["1.2"]}}, {"values": {"cart": ["1.9", "1.2"]}}],
    ),
    "a dropped write is there": (
        "phantom",
        [SET | {"outcome": Outcome.NOT_DONE}, {"values": {"a": "1.2"}}],
    ),
    "a value was never written": ("phantom", [{"values": {"a": "1.77"}}]),
    "a value is another session's": ("foreign", [{"values": {"a": "7.8"}}]),
    "a message is another session's": ("foreign", [{"flash": ["7.8"]}]),
    "a session is seen without a token": ("foreign", [{"token": None, "lineage": 0}]),
    "an ended session is seen": ("ended", [END, {}]),
    "an ended session goes on under a later token": (
        "ended",
        [
            RENEW | {"issued": "N", "until": 2.5},
            END | {"at": 2, "until": 2.6},
            {"token": "N", "at": 3},
        ],
    ),
    "ending all of a user's sessions spares one": (
        "ended",
        [
            {"effect": Effect.SIGNS_IN, "issued": "N", "events": ("SessionRenewed",),
             "signs_in_as": "ann"},
            {"token": "N", "user": "ann"},
            {"token": None, "lineage": 0, "target": 0, "live": None, "revokes": "ann"},
            {"token": "N", "user": "ann"},
        ],
    ),
    "a renewed token works": ("renewed", [RENEW | {"issued": "N"}, {}]),
    "somebody else is signed in": ("user", [{"user": "bob"}]),
    "a session lives on too long": ("idle", [{"at": 8}]),
    "a session vanishes": ("lost", [GONE]),
    "a cookie opens nothing": ("lost", [RENEW | {"issued": "N"}, {"token": "N"} | GONE]),
    "a message vanishes": ("flash", [PUSH, {}]),
    "a message vanishes though somebody popped others": ("flash", [PUSH, POP_IN_VAIN, {}]),
    "a message comes back": ("flash", [PUSH, POP, {"flash": ["1.2"]}]),
    "a message was never pushed": ("phantom", [{"flash": ["1.77"]}]),
    "an increment is lost": (
        "count", [COUNT | {"until": 4}, COUNT | {"until": 4}, {"at": 4.5}],
    ),
    "an increment is undone": ("count", [COUNT, {"count": 0}]),
    "an increment is made twice": ("count", [COUNT, {"count": 2}]),
    "somebody counts without the lock": ("count", [COUNT, COUNT | {"count": 1}]),
    "what was merged does not come over": ("write", [BEGIN, MERGE, {}]),
    "a message that is merged vanishes": (
        "flash",
        [BEGIN | {"pushed": "2.2"}, merge({"b": "2.2"}, ["2.2"]), {"values": {"b": "2.2"}}],
    ),
    "a merge finds less than there was": ("write", [BEGIN, merge({})]),
    "a merge finds less at its call than there was": (
        "write", [BEGIN, merge({"b": "2.2"}, called=look({}, []))],
    ),
    "a merge that is not saved finds less than there was": (
        "write", [BEGIN, MERGE_DROPPED | {"looks": [look({}, [])]}],
    ),
    "what is stored in the other between call and save is lost": (
        "write",
        [
            BEGIN, MERGE | {"until": 4},
            THE_OTHER | SET | {"at": 2.5, "values": {"b": "2.2"}, "writes": {"a": "2.4"}},
        ],
    ),
    "a message that is pushed there between call and save is lost": (
        "flash",
        [
            BEGIN, MERGE | {"until": 4},
            THE_OTHER | PUSH | {"at": 2.5, "values": {"b": "2.2"}, "pushed": "2.4"},
        ],
    ),
    "a message that is popped there between call and save comes over": (
        "flash",
        [
            BEGIN | {"pushed": "2.2"}, merge({"b": "2.2"}, ["2.2"], at=2, until=4),
            THE_OTHER | POP | {"at": 2.5, "popped": ["2.2"]},
        ],
    ),
    "what is removed there between call and save comes over": (
        "write",
        [
            BEGIN, MERGE | {"until": 4},
            THE_OTHER | REMOVE | {"at": 2.5, "values": {"b": "2.2"}, "writes": {"b": None}},
        ],
    ),
    "what is counted there between call and save is lost": (
        "count",
        [
            BEGIN,
            MERGE | {"until": 4, "looks": [look({"b": "2.2"}, [], count=0, last=True)]},
            THE_OTHER | COUNT | {"at": 2.5, "values": {"b": "2.2"}},
        ],
    ),
    "what was ended between call and save comes over": (
        "foreign",
        [
            BEGIN, MERGE_TOO_LATE | {"until": 3}, THE_OTHER | END | {"at": 2.5},
            {"values": {"b": "2.2"}},
        ],
    ),
    "a merge takes nothing of a session that nothing ended": ("lost", [BEGIN, MERGE_TOO_LATE]),
    "a merge does not find a session that nothing ended": ("lost", [BEGIN, MERGE_OF_NOTHING]),
    "a session is merged that is renewed at the same time": (
        "ended",
        [
            BEGIN, THE_OTHER | RENEW | {"issued": "N", "until": 3.5}, MERGE,
            THE_OTHER | {"token": "N", "values": {"b": "2.2"}},
        ],
    ),
    "a session is merged that was signed out at the same time": (
        "ended",
        [BEGIN, THE_OTHER | END | {"name": "sign_out", "until": 4}, MERGE],
    ),
    "a session is merged into two at once": (
        "ended",
        [
            BEGIN, MERGE | {"until": 4},
            MERGE | {"at": 3, "until": 4, "live": False, "token": None, "lineage": 0, "target": 4,
                     "issued": "P", "events": ("SessionStarted", "Merged")},
        ],
    ),
    "two sessions are merged into each other": (
        "ended",
        [
            BEGIN | {"writes": {}}, merge({}, at=2, until=4),
            THE_OTHER | merge({}, absorbs=1, other="T", at=2.5, until=4),
        ],
    ),
    "a merge finds a session that was ended": (
        "ended",
        [BEGIN, THE_OTHER | END, MERGE],
    ),
    "a session goes on that was merged": (
        "ended",
        [BEGIN, MERGE, THE_OTHER | {"values": {"b": "2.2"}}],
    ),
    "a merge that was dropped is there": (
        "foreign",
        [BEGIN, MERGE_DROPPED, {"values": {"b": "2.2"}}],
    ),
    "a session merges itself": (
        "lost",
        [merge({}, absorbs=1, other="T"), GONE],
    ),
    "another user's session is merged": (
        "user",
        [signed_in("T2", 1), merge({}, other="T2")],
    ),
    "a user keeps too many sessions": (
        "limit",
        [*THREE_SESSIONS, seen("T2", 2), seen("T3", 2.2), seen("T4", 2.4)],
    ),
    "a late request sends a cookie": (
        "late",
        [
            RENEW | {"issued": "N"},
            GONE | {"issued": "M", "events": ("SessionStarted",), "target": 3},
        ],
    ),
    "a failed request sends a cookie": (
        "cookie",
        [UNKNOWN | {"status": 502, "issued": "N"}],
    ),
    "another manager opens a token": ("manager", [{"name": "cross"}]),
    "a user is signed in who was rolled back": (
        "sign-up",
        [{"effect": Effect.SIGNS_IN, "issued": "N", "events": ("SessionRenewed",),
          "signs_in_as": "s2"}, {"token": "N", "user": "s2"}],
    ),
    "a sign-in is kept whose transaction was rolled back": (
        "sign-up",
        [{"effect": Effect.SIGNS_IN, "issued": "N", "events": ("SessionRenewed",),
          "signs_in_as": "ann", "note": False}],
    ),
    "the application's row is missing": ("atomic", [{"note": True}]),
    "the application's row is left": ("atomic", [{"note": False, "number": 500}]),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_what_may_happen_is_no_violation(name: str) -> None:
    """Nobody is accused of what cannot be told for certain."""
    story = Story()
    story.go_on(RIGHT[name])
    assert story.rules() == []


@pytest.mark.parametrize("name", WRONG)
def test_a_planted_violation_is_found(name: str) -> None:
    """And nothing else is."""
    rule, steps = WRONG[name]
    story = Story()
    story.history.notes = {500}
    story.go_on(steps)
    assert set(story.rules()) == {rule}


def test_an_outage_may_keep_a_session_from_being_touched() -> None:
    """What was used while the database was away may have idled out sooner."""
    story = Story()
    story.tell("show", 1, live=False)
    story.history.outages.append((0, 0.5))
    assert story.rules() == []


def test_a_touch_that_was_not_made_is_none() -> None:
    """S9: since the session idled out meanwhile, or could not be written, or was touched before."""
    story = Story()
    story.tell("show", 1.5, events=(NOT_TOUCHED,))
    story.tell("show", 3.2, live=False)
    assert story.rules() == []
    story.tell("show", 3.3)
    story.tell("show", 3.5, live=False)
    assert story.rules() == ["lost"]


def test_the_server_tells_of_a_touch_that_was_not_made(tmp_path: Path) -> None:
    """Else the checker would take a session for lost that idled out between look and touch."""
    url = f"sqlite:///{tmp_path / 'sessions.sqlite'}"
    create_table(url)
    app = TestApp(make_app(url, 0)[0])
    manager = get_manager(app.app.registry)
    told = {"lineage": "0", "database": "none", "ending": "return"}
    app.get("/", told | {"number": "1", "action": "set", "key": "a"}, extra_environ=HTTPS)
    now = manager.kind.clock() + 4_000
    moments = iter([now, now + 2_000])
    manager.kind.clock = lambda: next(moments)
    with listening_to_the_log():
        looked = app.get("/", told | {"number": "2", "action": "show"}, extra_environ=HTTPS)
    assert looked.json["live"]
    assert looked.headers[EVENTS] == NOT_TOUCHED
    manager.store.close()


def test_the_applications_row_tells_what_became_of_an_unknown_write() -> None:
    """S6: saved with it, or not at all."""
    for kept, values, found in [
        (True, {}, ["write"]),
        (True, {"a": "1.2"}, []),
        (False, {}, []),
        (False, {"a": "1.2"}, ["phantom"]),
    ]:
        story = Story()
        story.tell("set", 1, joined=True, **SET | UNKNOWN)
        story.history.notes = {2} if kept else set()
        story.history.close(2, live={"T"})
        story.tell("scan", 3, values=values)
        assert story.rules() == found


def test_a_violation_is_told_in_full() -> None:
    """The rule, the session and the operations that prove it."""
    story = Story()
    story.tell("set", 1, **SET)
    story.tell("show", 2)
    (violation,) = check(story.history, TIMES)
    assert isinstance(violation, Violation)
    assert violation.in_full().splitlines() == [
        "write: a is gone that nobody removed (lineage 1)",
        "  #2, 1.0000-1.1000, set, then return, with T of 1, answered 200, DONE,"
        " writes {'a': '1.2'}",
        "  #3, 2.0000-2.1000, show, then return, with T of 1, answered 200, DONE,"
        " saw user None {} []",
    ]


def test_a_seed_repeats_every_plan() -> None:
    """Whatever was answered meanwhile."""
    first, second = ([Plan.drawn(n, random.Random("x")) for n in range(50)] for _ in range(2))
    assert first == second
