"""What a view sees: a dictionary, flash messages, a CSRF token, and a session's life.

The manager below is real, and its store keeps the rows in memory.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from pyramid.interfaces import ISession
from pyramid.request import Request
from pyramid.response import Response
from zope.interface.verify import verifyClass, verifyObject

from myapp.sessions import (
    NotStorable,
    Session,
    SessionClosed,
    SessionError,
    SessionManager,
    SessionTooLarge,
    Status,
    WrongType,
)
from myapp.sessions.core.manager import Tokens
from myapp.sessions.core.saved import settle
from myapp.sessions.core.saving import save
from myapp.sessions.core.state import Origin, State
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import digest, is_token
from myapp.sessions.core.user import MAX_USER_ID
from myapp.sessions.testing import memory_manager
from myapp.sessions.web.headers import write_headers
from tests.sessions.app import Clock

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(clock: Clock) -> SessionManager:
    """Sessions of 8 hours for users and 2 hours for others."""
    return memory_manager(clock, lifetime="8h", anonymous_lifetime="2h")


@pytest.fixture
def session(manager: SessionManager) -> Session:
    """A session that is stored, and was loaded again."""
    return loaded(manager, stored(manager, key="value", cart=[1]))


def stored(manager: SessionManager, user: str | None = None, /, **values: Any) -> str:
    """Store a new session; its token."""
    with manager.session() as session:
        if user is not None:
            session.sign_in(user)
        session.update(values)
        session.get_csrf_token()
    return session.token


def loaded(manager: SessionManager, token: str) -> Session:
    """The live session of a token, open for changes, which nothing saves by itself."""
    session = Session(State(kind=manager.kind, source=Tokens(token)))
    assert not session.new
    return session


def close(session: Session) -> None:
    """Let the response be decided: from here on nothing is loaded or saved."""
    session._state.closed, session._state.source = True, None


def cookie_after_save(session: Session) -> str | None:
    """The cookie that goes out with a response once this session is saved."""
    saved = save(session._state)
    settle(session._state, saved)
    response = Response()
    request = Request.blank("/", base_url="https://example.com")
    write_headers(request, response, session._state, saved)
    cookie: str | None = response.headers.get("Set-Cookie")
    return cookie


def row_of(manager: SessionManager, token: str) -> StoredSession:
    """What the store has for a token: a session or a marker."""
    (row,) = manager.store.load([digest("session", token)])
    return row


def live_rows(manager: SessionManager) -> int:
    """How many sessions the store holds, markers aside."""
    return sum(1 for _ in manager.store.iterate("session"))


def break_row(manager: SessionManager, token: str) -> None:
    """Make a row unreadable."""
    row = row_of(manager, token)
    assert manager.store.update(replace(row, data=b"\xc1", version=row.version + 1), row.version)


class TestInterface:
    """Pyramid's ISession."""

    def test_it_provides_pyramids_interface(self, session: Session) -> None:
        """I1: new or stored, whatever was looked at."""
        verifyClass(ISession, Session)
        verifyObject(ISession, session)
        with memory_manager().session() as new:
            verifyObject(ISession, new)

    def test_it_has_every_method_of_a_dict(self) -> None:
        """I1: in full, hashing and the class's own constructors aside."""
        missing = set(dir(dict)) - set(dir(Session))
        assert missing <= {"fromkeys", "__class_getitem__"}

    def test_it_can_not_be_hashed(self, session: Session) -> None:
        """I1: no more than a dict can, as it compares by contents."""
        with pytest.raises(TypeError, match="unhashable"):
            hash(session)

    def test_created_and_new(self, manager: SessionManager, clock: Clock) -> None:
        """I1: whole seconds since 1970, and whether a row exists."""
        with manager.session() as session:
            session["key"] = 1
            assert session.new
            assert session.created == clock.now // 1000
        clock.forward(60)
        later = loaded(manager, session.token)
        assert not later.new
        assert later.created == clock.now // 1000 - 60
        assert type(later.created) is int

    def test_changed_does_nothing_and_needs_not_be_called(self, session: Session) -> None:
        """S1: changes are noticed."""
        session.changed()
        assert session.status == Status.UNMODIFIED

    @pytest.mark.parametrize(
        "act", [lambda s: None, lambda s: s.sign_in("ann"), lambda s: s.renew()]
    )
    def test_its_repr_shows_neither_token_nor_contents(
        self, manager: SessionManager, act: Callable[[Session], None]
    ) -> None:
        """R6: it stands in logs and on error pages."""
        session = loaded(manager, stored(manager, key="a secret value"))
        before = session.token
        act(session)
        shown = f"{session!r} {session}"
        for secret in (before, session.token, session.get_csrf_token(), "secret value"):
            assert secret not in shown
        assert session.handle in shown

    def test_the_repr_of_what_was_loaded_shows_no_token(self, session: Session) -> None:
        """R6: local variables are shown on the pages of a debugger."""
        assert session.token not in repr(session._state.loaded)

    def test_the_repr_does_not_load(self, manager: SessionManager) -> None:
        """L1: looking at a request in a debugger costs nothing."""
        with manager.session(stored(manager)) as session:
            assert repr(session) == "<Session, not loaded>"
            assert session._state.loaded is None


keys = st.sampled_from(["a", "b", "c", "é", ""])
small_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=4,
)
dicts = st.dictionaries(keys, small_values, max_size=3)


class SessionBesideDict(RuleBasedStateMachine):
    """I1, S1: whatever is done to a session and to a dict, both stay alike, over any saves."""

    def __init__(self) -> None:
        super().__init__()
        self.manager = memory_manager(Clock())
        self.stack = ExitStack()

    def open(self, token: str | None) -> None:
        self.session = self.stack.enter_context(self.manager.session(token))

    @initialize(values=dicts)
    def begin(self, values: dict[str, Any]) -> None:
        self.model: dict[str, Any] = deepcopy(values)
        self.open(None)
        self.session.update(values)

    def teardown(self) -> None:
        self.stack.close()

    @invariant()
    def they_are_alike(self) -> None:
        assert list(self.session.items()) == list(self.model.items())

    @rule()
    def save_and_load(self) -> None:
        token = self.session.token
        self.stack.close()
        self.open(token)
        assert self.session == self.model
        # Another order alone is no change, and is not stored.
        self.model = {key: self.model[key] for key in self.session}

    @rule(key=keys, value=small_values)
    def set_item(self, key: str, value: Any) -> None:
        self.session[key] = deepcopy(value)
        self.model[key] = value

    @rule(key=keys)
    def get_item(self, key: str) -> None:
        assert (key in self.session) is (key in self.model)
        assert self.session.get(key) == self.model.get(key)
        assert self.session.get(key, 7) == self.model.get(key, 7)
        if key in self.model:
            assert self.session[key] == self.model[key]
        else:
            with pytest.raises(KeyError, match=re.escape(repr(key))):
                self.session[key]

    @rule(key=keys)
    def delete_item(self, key: str) -> None:
        if key in self.model:
            del self.session[key], self.model[key]
        else:
            with pytest.raises(KeyError):
                del self.session[key]

    @rule(key=keys, default=small_values)
    def pop_with_default(self, key: str, default: Any) -> None:
        assert self.session.pop(key, default) == self.model.pop(key, default)

    @rule(key=keys)
    def pop(self, key: str) -> None:
        if key in self.model:
            assert self.session.pop(key) == self.model.pop(key)
        else:
            with pytest.raises(KeyError):
                self.session.pop(key)

    @rule()
    def pop_item(self) -> None:
        if self.model:
            assert self.session.popitem() == self.model.popitem()
        else:
            with pytest.raises(KeyError):
                self.session.popitem()

    @rule(key=keys, value=small_values)
    def set_default(self, key: str, value: Any) -> None:
        assert self.session.setdefault(key, deepcopy(value)) == self.model.setdefault(key, value)

    @rule(key=keys)
    def set_default_none(self, key: str) -> None:
        assert self.session.setdefault(key) == self.model.setdefault(key)

    @rule(other=dicts, how=st.sampled_from([dict, MappingProxyType, lambda d: list(d.items())]))
    def update(self, other: dict[str, Any], how: Callable[[Any], Any]) -> None:
        # As dict's, it returns nothing.
        assert self.session.update(how(deepcopy(other))) is None  # type: ignore[func-returns-value]
        self.model.update(other)

    @rule(other=dicts, a=small_values, self_=small_values)
    def update_with_keywords(self, other: dict[str, Any], a: Any, self_: Any) -> None:
        self.session.update(deepcopy(other), a=deepcopy(a), other=1, **{"self": deepcopy(self_)})
        self.model.update(other | {"a": a, "other": 1, "self": self_})

    @rule(other=dicts, how=st.sampled_from([dict, MappingProxyType, lambda d: list(d.items())]))
    def merge_in(self, other: dict[str, Any], how: Callable[[Any], Any]) -> None:
        same = self.session
        self.session |= how(deepcopy(other))
        self.model |= other
        assert self.session is same

    @rule(other=dicts)
    def merge_into_a_new_one(self, other: dict[str, Any]) -> None:
        for ours, models in (
            (self.session | other, self.model | other),
            (other | self.session, other | self.model),
        ):
            assert type(ours) is dict
            assert list(ours.items()) == list(models.items())

    @rule()
    def clear(self) -> None:
        self.session.clear()
        self.model.clear()

    @rule()
    def copy(self) -> None:
        copied = self.session.copy()
        assert type(copied) is dict
        assert copied == self.model
        copied["another"] = 1

    @rule()
    def look(self) -> None:
        assert len(self.session) == len(self.model)
        assert bool(self.session) is bool(self.model)
        assert list(self.session) == list(self.model)
        assert list(reversed(self.session)) == list(reversed(self.model))
        assert dict(self.session) == {**self.session} == self.model

    @rule(other=dicts)
    def compare(self, other: dict[str, Any]) -> None:
        assert (self.session == other) is (self.model == other)
        assert (other == self.session) is (self.model == other)
        assert (self.session != other) is (self.model != other)
        assert self.session == MappingProxyType(self.model)
        assert self.session != list(self.model)

    @rule(key=keys)
    def views(self, key: str) -> None:
        assert self.session.keys() == self.model.keys()
        assert self.session.keys() & {key} == self.model.keys() & {key}
        assert list(self.session.values()) == list(self.model.values())
        assert ((key, 1) in self.session.items()) is ((key, 1) in self.model.items())
        items: Any = self.session.items()  # as a dict's, it can be reversed
        assert list(reversed(items)) == list(reversed(self.model.items()))

    @rule(key=keys)
    def views_are_live(self, key: str) -> None:
        views = (self.session.keys(), self.session.values(), self.session.items())
        self.session[key] = self.model[key] = "fresh"
        assert [list(view) for view in views] == [
            list(view) for view in (self.model.keys(), self.model.values(), self.model.items())
        ]

    @precondition(lambda self: any(isinstance(value, list) for value in self.model.values()))
    @rule(data=st.data())
    def append_inside(self, data: st.DataObject) -> None:
        lists = [key for key, value in self.model.items() if isinstance(value, list)]
        key = data.draw(st.sampled_from(lists))
        self.session[key].append(1)
        self.model[key].append(1)

    @rule(key=keys, other=dicts, value=st.sampled_from([object(), {1}, [date(2024, 1, 1)]]))
    def refuse_what_can_not_be_stored(self, key: str, other: dict[str, Any], value: Any) -> None:
        with pytest.raises(NotStorable):
            self.session[key] = value
        with pytest.raises(NotStorable):
            self.session.update(other, zz=value)
        with pytest.raises(NotStorable):
            self.session |= other | {"zz": value}
        with pytest.raises(NotStorable):
            self.session.setdefault("zz", value)


TestItIsADict = SessionBesideDict.TestCase
TestItIsADict.settings = hypothesis(max_examples=60, stateful_step_count=40)


class TestDictionary:
    """What the machine above does not try."""

    @pytest.mark.parametrize("key", [1, None, b"a", ("a",), ["a"]], ids=repr)
    def test_a_key_that_is_no_text_is_refused_wherever_it_is_assigned(
        self, session: Session, key: Any
    ) -> None:
        """S10: with one error, that names it."""
        with pytest.raises(NotStorable, match="a key must be a str"):
            session[key] = 1
        with pytest.raises((NotStorable, TypeError)):
            session.setdefault(key, 1)
        with pytest.raises((NotStorable, TypeError)):
            session.update([(key, 1)])
        assert session.status == Status.UNMODIFIED

    def test_a_key_that_is_no_text_can_be_asked_for(self, session: Session) -> None:
        """I1: as with a dict; it is just not there."""
        # What the types forbid, a view without types may do.
        assert 1 not in session  # type: ignore[comparison-overlap]
        assert session.get(1) is None  # type: ignore[arg-type]
        with pytest.raises(KeyError):
            session[1]  # type: ignore[index]
        assert session.pop(1, "none") == "none"  # type: ignore[arg-type]

    @pytest.mark.parametrize("other", [[("a", 1)], "ab", 5, None], ids=repr)
    def test_only_mappings_are_joined(self, session: Session, other: Any) -> None:
        """I1: `session | other` takes what `dict | other` takes."""
        with pytest.raises(TypeError):
            _ = session | other
        with pytest.raises(TypeError):
            _ = other | session

    @pytest.mark.parametrize("other", [5, None, "ab", [1]], ids=repr)
    def test_what_a_dict_can_not_be_updated_with_a_session_can_not(
        self, session: Session, other: Any
    ) -> None:
        """I1: with the same errors, and nothing changed."""
        with pytest.raises((TypeError, ValueError)) as of_dict:
            {}.update(other)
        with pytest.raises(of_dict.type):
            session.update(other)
        assert session == {"key": "value", "cart": [1]}

    def test_two_sessions_compare_by_contents(self, manager: SessionManager) -> None:
        """I1: as two dicts do."""
        one, other = (loaded(manager, stored(manager, a=1)) for _ in range(2))
        assert one == other
        other["a"] = 2
        assert one != other
        assert one | other == {"a": 2}

    def test_a_dict_takes_a_session_as_a_mapping(self, session: Session) -> None:
        """I1: in every way that takes a mapping."""
        plain: dict[str, Any] = {}
        plain.update(session)
        plain |= session
        assert plain == {**session} == dict(session) == {"key": "value", "cart": [1]}

    def test_an_update_is_done_whole_or_not_at_all(self, session: Session) -> None:
        """S10: the error names the one at fault."""
        with pytest.raises(NotStorable, match=r"session\['b'\]: a set can't be stored"):
            session.update({"a": 1, "b": {1}, "c": 1})
        assert session == {"key": "value", "cart": [1]}

    def test_what_is_refused_leaves_the_old_value(self, session: Session) -> None:
        """S10: at the line that assigns."""
        with pytest.raises(NotStorable):
            session["key"] = object()
        assert session["key"] == "value"
        assert session.status == Status.UNMODIFIED


class TestSaving:
    """What is written of all that, and when."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda s: s["cart"].append(2),
            lambda s: s["deep"]["er"].update(x=2),
            lambda s: s["deep"]["er"].pop("y"),
            lambda s: s["cart"].clear(),
            lambda s: s.get("cart").extend([3]),
            lambda s: s.setdefault("cart", []).insert(0, 1),
            lambda s: next(iter(s.values())).append(1),
            lambda s: s.copy()["cart"].append(1),
            lambda s: s.pop("key"),
            lambda s: s.clear(),
            lambda s: s.update(key=True),
            lambda s: s.update(one=True),
        ],
    )
    def test_every_change_is_noticed(
        self, manager: SessionManager, change: Callable[[Session], None]
    ) -> None:
        """S1: a nested one too, without `changed()`, and one of the type alone."""
        token = stored(manager, cart=[1], deep={"er": {"y": 1}}, key="v", one=1)
        with manager.session(token) as session:
            change(session)
            assert session.status == Status.MODIFIED
            expected = deepcopy(session.copy())
        assert repr(loaded(manager, token).copy()) == repr(expected)
        assert row_of(manager, token).version == 2

    @pytest.mark.parametrize(
        "borrow",
        [
            lambda s: s["cart"],
            lambda s: s.get("cart"),
            lambda s: s.setdefault("cart", None),
            lambda s: s.copy()["cart"],
            lambda s: dict(s)["cart"],
            lambda s: (s | {})["cart"],
            lambda s: ({} | s)["cart"],
            lambda s: s.keys().mapping["cart"],
            lambda s: next(value for value in s.values() if value == [1]),
            lambda s: dict(s.items())["cart"],
            lambda s: s.peek_flash()[0],
        ],
    )
    def test_what_was_handed_out_is_looked_at_again(
        self, manager: SessionManager, borrow: Callable[[Session], list[int]]
    ) -> None:
        """S1: whatever it was handed out by; what was not is not even compared."""
        with manager.session() as made:
            made.update(key="value", cart=[1])
            made.flash([1])
        with manager.session(made.token) as session:
            assert session["key"] == "value"
            assert not session._state.lent
            borrow(session).append(2)
        assert row_of(manager, made.token).version == 2

    @pytest.mark.parametrize(
        "look",
        [
            lambda s: s["cart"],
            lambda s: s.get("none"),
            lambda s: s.update(cart=[1], key="v"),
            lambda s: s.update(key=s.pop("key")),
            lambda s: s.update(pair=(1, 2)),
            lambda s: s.get_csrf_token(),
            lambda s: s.pop_flash(),
            lambda s: (s["cart"].append(2), s["cart"].pop()),
            lambda s: s.changed(),
        ],
    )
    def test_what_changes_nothing_writes_nothing(
        self, manager: SessionManager, look: Callable[[Session], Any]
    ) -> None:
        """S1: the row is the one that it was."""
        token = stored(manager, cart=[1], key="v", pair=(1, 2))
        before = row_of(manager, token)
        with manager.session(token) as session:
            look(session)
        assert row_of(manager, token) is before

    @pytest.mark.parametrize(
        "look",
        [
            lambda s: s.get("key"),
            lambda s: s.pop("key", None),
            lambda s: s.clear(),
            lambda s: s.pop_flash(),
            lambda s: s.remember_me(True),
            lambda s: s.renew(),
            lambda s: s.invalidate(),
            lambda s: (s.update(key=1), s.clear()),
            lambda s: (s.flash("x"), s.pop_flash()),
            lambda s: (s.token, s.handle, s.status, s.deadline, s.created, s.new, s.user_id),
        ],
    )
    def test_an_empty_new_session_makes_no_row(
        self, manager: SessionManager, look: Callable[[Session], Any]
    ) -> None:
        """S2: nor is it modified."""
        with manager.session() as session:
            look(session)
            assert session.status != Status.MODIFIED
        assert live_rows(manager) == 0

    def test_a_nested_value_that_can_not_be_stored_is_refused_when_saving(
        self, manager: SessionManager
    ) -> None:
        """S10: with the key; the row is left as it was."""
        token = stored(manager, cart=[1])
        with (
            pytest.raises(NotStorable, match=r"session\['cart'\]"),
            manager.session(token) as session,
        ):
            session["cart"].append(date(2024, 1, 1))
        assert loaded(manager, token) == {"cart": [1]}

    @pytest.mark.parametrize(
        "also",
        [
            lambda s: s.renew(),
            lambda s: s.sign_in("ann"),
            lambda s: s.remember_me(True),
            lambda s: setattr(s, "deadline", s.deadline + HOUR),
            lambda s: s.flash("x"),
        ],
        ids=["renew", "sign_in", "remember", "deadline", "flash"],
    )
    def test_so_it_is_whatever_else_is_saved(
        self, manager: SessionManager, also: Callable[[Session], None]
    ) -> None:
        """S10: a date is not stored as a text by the way."""
        token = stored(manager, cart=[1])

        def save() -> None:
            with manager.session(token) as session:
                session["cart"].append(date(2024, 1, 1))
                also(session)

        with pytest.raises(NotStorable, match="cart"):
            save()
        assert loaded(manager, token) == {"cart": [1]}

    def test_what_exceeds_the_size_is_refused_when_saving(self) -> None:
        """S10: new or stored; the error says how large it is."""
        manager = memory_manager(max_size="1000")
        with pytest.raises(SessionTooLarge, match="max_size is 1000"), manager.session() as session:
            session["key"] = "x" * 1000
        assert live_rows(manager) == 0
        token = stored(manager, key=1)
        with pytest.raises(SessionTooLarge), manager.session(token) as session:
            session["more"] = "x" * 1000
        assert loaded(manager, token) == {"key": 1}

    def test_nothing_is_saved_after_an_error(self, manager: SessionManager) -> None:
        """I13: the block that it leaves."""
        token = stored(manager, key=1)

        def fail() -> None:
            with manager.session(token) as session:
                session["key"] = 2
                raise LookupError

        with pytest.raises(LookupError):
            fail()
        assert loaded(manager, token) == {"key": 1}

    def test_two_that_change_different_keys_both_survive(self, manager: SessionManager) -> None:
        """S4: and of the same key the later."""
        token = stored(manager, old=1, same=0)
        with manager.session(token) as one, manager.session(token) as other:
            one.update(mine=1, same=1)
            other.update(theirs=2, same=2)
            del other["old"]
        assert loaded(manager, token) == {"mine": 1, "theirs": 2, "same": 1}

    def test_a_late_save_does_not_resurrect_a_session(self, manager: SessionManager) -> None:
        """S3: CVE-2025-46336; scs, express-session #632."""
        token = stored(manager, "ann", key=1)
        with manager.session(token) as late:
            late["key"] = 2
            with manager.session(token) as session:
                session.sign_out()
        assert live_rows(manager) == 0
        assert manager.load(token) is None


@dataclass
class Address:
    street: str
    number: int = 1


class TestGetAs:
    """A value as a type."""

    @pytest.mark.parametrize(
        ("value", "type_", "expected"),
        [
            (5, int, 5),
            ("text", str, "text"),
            (1.5, float, 1.5),
            (True, bool, True),
            (b"\x00", bytes, b"\x00"),
            (datetime(2024, 1, 1, tzinfo=UTC), datetime, datetime(2024, 1, 1, tzinfo=UTC)),
            ("2024-01-01", date, date(2024, 1, 1)),
            ("12345678-1234-5678-1234-567812345678", UUID, UUID("12345678" * 4)),
            ([1, 2], list[int], [1, 2]),
            ((1, 2), tuple[int, ...], (1, 2)),
            ([1, 2, 2], set[int], {1, 2}),
            ({"a": 1}, dict[str, int], {"a": 1}),
            ({"street": "Here", "number": 5}, Address, Address("Here", 5)),
            ([{"street": "Here"}], list[Address], [Address("Here", 1)]),
            (None, int | None, None),
            ("modified", Status, Status.MODIFIED),
        ],
    )
    def test_a_stored_value_of_the_type_is_given(
        self, manager: SessionManager, value: Any, type_: Any, expected: Any
    ) -> None:
        """I2: GetString, GetInt, GetTime, GetBytes, and any type that can be made of it."""
        got = loaded(manager, stored(manager, key=value)).get_as("key", type_)
        assert got == expected
        assert type(got) is type(expected)

    @pytest.mark.parametrize(
        ("value", "type_"),
        [
            ("5", int),
            (5, str),
            (1.5, int),
            (True, int),
            (1, bool),
            (0, bool),
            ("", int),
            (None, int),
            (None, str),
            ([], int),
            (["a"], list[int]),
            ([1], dict[str, int]),
            ("yesterday", datetime),
            (1, datetime),
            ("not a uuid", UUID),
            ({"number": 1}, Address),
            ({"street": 1}, Address),
            ("Here", Address),
            ("text", bytes),
            ("abcd", bytes),
            ("YWJjZA==", bytes),
            (b"abcd", str),
        ],
    )
    def test_a_value_of_another_type_is_a_clear_error(
        self, session: Session, value: Any, type_: Any
    ) -> None:
        """I2: never a silent zero, and no text is decoded into bytes unasked."""
        session["key"] = value
        with pytest.raises(WrongType, match=r"^session\['key'\] is no ") as caught:
            session.get_as("key", type_, default=type_)
        assert isinstance(caught.value, TypeError)
        assert (caught.value.key, caught.value.wanted) == ("key", type_)

    @pytest.mark.parametrize("type_", [list[int], int | None, dict[str, int]], ids=str)
    def test_the_error_names_the_type_in_full(self, session: Session, type_: Any) -> None:
        """I2: `[1, "a"]` is a list, and no list[int]."""
        session["key"] = [1, "a"]
        with pytest.raises(WrongType) as caught:
            session.get_as("key", type_)
        assert str(caught.value).startswith(f"session['key'] is no {type_}: ")

    def test_a_missing_key_gives_the_default(self, session: Session) -> None:
        """I2: None, if there is no other, as of absence."""
        assert session.get_as("none", int) is None
        assert session.get_as("none", int, 7) == 7
        assert session.get_as("none", int, default=7) == 7

    def test_the_value_itself_is_left_as_it_is(self, session: Session) -> None:
        """S1: a look is no change."""
        assert session.get_as("cart", set[int]) == {1}
        assert session["cart"] == [1]
        assert session.status == Status.UNMODIFIED


class TestFlash:
    """Messages for a later page."""

    def test_messages_come_out_in_order_and_once(self, manager: SessionManager) -> None:
        """I1: over requests; peeking leaves them."""
        with manager.session() as session:
            session.flash("one")
            session.flash({"two": [2]})
        with manager.session(session.token) as session:
            session.flash("three")
            assert session.peek_flash() == ["one", {"two": [2]}, "three"]
        with manager.session(session.token) as session:
            assert session.pop_flash() == ["one", {"two": [2]}, "three"]
            assert session.pop_flash() == session.peek_flash() == []
        assert loaded(manager, session.token).peek_flash() == []

    def test_queues_are_apart(self, session: Session) -> None:
        """I1: the empty name is one of them."""
        session.flash("plain")
        session.flash("bad", "error")
        session.flash("worse", queue="error")
        assert session.peek_flash("none") == []
        assert session.pop_flash("error") == ["bad", "worse"]
        assert session.peek_flash() == ["plain"]

    def test_flash_messages_are_no_keys(self, session: Session) -> None:
        """I1: nor is the CSRF token, and `clear` leaves both."""
        session.flash("plain")
        token = session.get_csrf_token()
        assert set(session) == {"key", "cart"}
        session.clear()
        assert session.peek_flash() == ["plain"]
        assert session.get_csrf_token() == token

    def test_duplicates_are_allowed_unless_they_are_not(self, session: Session) -> None:
        """I1: in one queue; another one is another."""
        for _ in range(2):
            session.flash("always")
            session.flash("once", allow_duplicate=False)
            session.flash("once", "error", allow_duplicate=False)
        assert session.peek_flash() == ["always", "once", "always"]
        assert session.peek_flash("error") == ["once"]

    @pytest.mark.parametrize("message", ["text", ("text", 1), [1, (2,)], {"a": (1,)}], ids=repr)
    def test_a_duplicate_is_known_after_it_was_stored(
        self, manager: SessionManager, message: Any
    ) -> None:
        """I1: a tuple has become a list by then."""
        token = stored(manager)
        for _ in range(2):
            with manager.session(token) as session:
                session.flash(message, allow_duplicate=False)
        assert len(loaded(manager, token).peek_flash()) == 1

    @pytest.mark.parametrize("queue", ["", "error"])
    def test_a_message_that_can_not_be_stored_is_refused(
        self, session: Session, queue: str
    ) -> None:
        """S10: where it is pushed, naming the queue."""
        with pytest.raises(NotStorable, match=rf"flash ?{queue}.*a object can't be stored"):
            session.flash(object(), queue)
        assert session.peek_flash(queue) == []
        assert session.status == Status.UNMODIFIED

    @pytest.mark.parametrize("queue", [5, None, b"error", "\ud800", ("a",)], ids=repr)
    def test_a_queue_that_is_no_text_never_makes_a_session_unreadable(
        self, manager: SessionManager, queue: Any
    ) -> None:
        """S10, L7: it is refused where it is pushed."""
        token = stored(manager, key=1)
        with manager.session(token) as session, pytest.raises(TypeError):
            session.flash("message", queue)
        assert loaded(manager, token) == {"key": 1}

    def test_no_message_vanishes_unseen(self, manager: SessionManager) -> None:
        """S4: one request pops while another one pushes."""
        token = stored(manager)
        with manager.session(token) as session:
            session.flash("seen")
        with manager.session(token) as popping, manager.session(token) as pushing:
            pushing.flash("unseen")
            assert popping.pop_flash() == ["seen"]
        assert loaded(manager, token).peek_flash() == ["unseen"]


class TestCsrf:
    """The CSRF token."""

    def test_it_stays_until_a_new_one_is_made(self, manager: SessionManager) -> None:
        """ASVS 3.5.1: bound to the session."""
        with manager.session() as session:
            token = session.get_csrf_token()
            assert session.get_csrf_token() == token
        with manager.session(session.token) as session:
            assert session.get_csrf_token() == token
            new = session.new_csrf_token()
            assert new != token
            assert session.get_csrf_token() == new
        assert loaded(manager, session.token).get_csrf_token() == new

    def test_it_can_not_be_guessed(self, manager: SessionManager) -> None:
        """ASVS 3.5.1: 192 bits, and nothing of the session's own token."""
        with manager.session() as session:
            made = {session.new_csrf_token() for _ in range(1000)}
        assert len(made) == 1000
        assert all(re.fullmatch(r"[\w-]{32}", token, re.ASCII) for token in made)

    def test_looking_at_it_makes_none(self, manager: SessionManager) -> None:
        """S2: as a debugger does."""
        with manager.session() as session:
            assert session.csrf_token is None
            assert session.status == Status.UNMODIFIED
            made = session.get_csrf_token()
            assert session.csrf_token == made


class TestDeadline:
    """The absolute limit."""

    def test_a_session_has_the_lifetime_of_its_kind(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """C1: anonymous or signed in; an aware datetime in UTC."""
        now = datetime.fromtimestamp(clock.now / 1000, UTC)
        assert loaded(manager, stored(manager)).deadline == now + 2 * HOUR
        signed_in = loaded(manager, stored(manager, "ann")).deadline
        assert signed_in == now + 8 * HOUR
        assert signed_in.tzinfo is UTC

    @pytest.mark.parametrize(
        "act",
        [
            lambda s: s.update(a=1),
            lambda s: s.renew(),
            lambda s: s.flash("x"),
            lambda s: s.new_csrf_token(),
            lambda s: s.remember_me(False),
            lambda s: s.merge("A" * 43),
        ],
    )
    def test_nothing_in_passing_moves_it(
        self, manager: SessionManager, clock: Clock, act: Callable[[Session], None]
    ) -> None:
        """R5: neither a save nor a renewal."""
        token = stored(manager, "ann")
        deadline = loaded(manager, token).deadline
        clock.forward(3600)
        with manager.session(token) as session:
            act(session)
        assert loaded(manager, session.token).deadline == deadline

    @pytest.mark.parametrize("renew", [False, True])
    def test_an_assignment_moves_it(
        self, manager: SessionManager, clock: Clock, renew: bool
    ) -> None:
        """I6: nearer or farther, in any zone; the row and the cookie follow."""
        token = stored(manager, key=1)
        for hours in (20, 1):
            session = loaded(manager, token)
            when = (session.deadline - 2 * HOUR + hours * HOUR).astimezone(timezone(-5 * HOUR))
            session.deadline = when
            if renew:
                session.renew()
            assert session.status == Status.MODIFIED
            cookie = cookie_after_save(session)
            assert cookie is not None
            assert f"Max-Age={hours * 3600};" in cookie
            token = session.token
            assert loaded(manager, token).deadline == when
            row = row_of(manager, token)
            assert row.deadline == row.expires_at == clock.now + hours * 3_600_000
            with manager.session(token) as back:
                back.deadline = when + 2 * HOUR - hours * HOUR
        clock.forward(2 * 3600)
        assert manager.load(token) is None

    def test_it_may_be_400_days_away_and_no_more(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """I6: as long as browsers keep a cookie; the present is too near."""
        session = loaded(manager, stored(manager))
        now = datetime.fromtimestamp(clock.now / 1000, UTC)
        millisecond = timedelta(milliseconds=1)
        for good in (now + millisecond, now + timedelta(days=400)):
            session.deadline = good
            assert session.deadline == good
        for bad in (
            now,
            now - millisecond,
            now + timedelta(days=400) + millisecond,
            datetime.min.replace(tzinfo=UTC),
            datetime.max.replace(tzinfo=UTC),
        ):
            with pytest.raises(ValueError, match="within the next 400 days"):
                session.deadline = bad
            assert session.deadline == good

    def test_a_naive_datetime_is_refused(self, session: Session) -> None:
        """I6: whose midnight would it be?"""
        with pytest.raises(ValueError, match="no time zone"):
            session.deadline = datetime(2030, 1, 1)
        assert session.status == Status.UNMODIFIED

    @given(st.integers(1, 400 * 24 * 3600))
    def test_a_cookie_never_outlives_it(self, seconds: int) -> None:
        """R5: whatever is assigned."""
        clock = Clock()
        manager = memory_manager(clock)
        session = loaded(manager, stored(manager))
        session.deadline = datetime.fromtimestamp(clock.now / 1000, UTC) + timedelta(
            seconds=seconds
        )
        clock.forward(0.5)
        cookie = cookie_after_save(session)
        assert cookie is not None
        assert f"; Max-Age={seconds - 1};" in cookie


class TestRememberMe:
    """Whether the cookie outlives the browser."""

    @pytest.mark.parametrize("persist", ["true", "false"])
    @pytest.mark.parametrize("remember", [None, True, False])
    def test_a_session_decides_and_else_the_setting(
        self, persist: str, remember: bool | None
    ) -> None:
        """I5: with Max-Age or without."""
        manager = memory_manager(cookie_persist=persist)
        session = loaded(manager, stored(manager))
        session.renew()
        if remember is not None:
            session.remember_me(remember)
        cookie = cookie_after_save(session)
        assert cookie is not None
        assert ("Max-Age" in cookie) is (persist == "true" if remember is None else remember)

    def test_the_decision_is_kept(self, manager: SessionManager) -> None:
        """I5: a later renewal sends the same kind of cookie, and an unchanged wish sends none."""
        token = stored(manager)
        session = loaded(manager, token)
        session.remember_me(False)
        cookie = cookie_after_save(session)
        assert cookie is not None
        assert cookie.startswith(f"session={token}; ")
        assert "Max-Age" not in cookie
        later = loaded(manager, token)
        later.remember_me(False)
        assert cookie_after_save(later) is None
        later = loaded(manager, token)
        later.renew()
        assert "Max-Age" not in (cookie_after_save(later) or "Max-Age")


class TestRenewing:
    """A new token for the same session."""

    def test_the_data_live_on_under_a_new_token(self, manager: SessionManager) -> None:
        """R1: user, handle, beginning and deadline as well; the old token is a marker."""
        token = stored(manager, "ann", key=1)
        old = row_of(manager, token)
        with manager.session(token) as session:
            session.flash("message")
            session.renew()
            assert session.status == Status.MODIFIED
            assert session.token != token
            assert is_token(session.token)
        new = row_of(manager, session.token)
        assert (new.user_id, new.handle, new.created_at, new.deadline) == (
            old.user_id,
            old.handle,
            old.created_at,
            old.deadline,
        )
        assert loaded(manager, session.token).peek_flash() == ["message"]
        assert loaded(manager, session.token) == {"key": 1}
        marker = row_of(manager, token)
        assert (marker.ended, marker.user_id, marker.handle) == ("renewed", None, None)
        assert manager.load(token) is None
        assert live_rows(manager) == 1

    def test_each_call_makes_another_token(self, session: Session) -> None:
        """R1: and the last one counts."""
        seen = set()
        for _ in range(3):
            session.renew()
            seen.add(session.token)
            assert session.token in seen
        assert len(seen) == 3

    def test_a_change_that_was_under_way_is_not_lost_by_a_renewal(
        self, manager: SessionManager
    ) -> None:
        """R1, S4: rotation undone by a parallel save (Jetty #2671): neither undone nor losing."""
        token = stored(manager, key=1)
        with manager.session(token) as renewing, manager.session(token) as other:
            other["other"] = 2
            renewing.renew()
        assert loaded(manager, renewing.token) == {"key": 1, "other": 2}
        assert manager.load(token) is None

    def test_a_save_that_comes_after_it_changes_nothing(self, manager: SessionManager) -> None:
        """R3: the old token can't bring the old session back."""
        token = stored(manager, key=1)
        with manager.session(token) as late:
            late["late"] = 2
            with manager.session(token) as session:
                session.renew()
        assert manager.load(token) is None
        assert loaded(manager, session.token) == {"key": 1}
        assert live_rows(manager) == 1


class TestEnding:
    """invalidate and sign_out"""

    @pytest.mark.parametrize("end", [Session.invalidate, Session.sign_out])
    def test_nothing_is_left(self, manager: SessionManager, end: Callable[[Session], None]) -> None:
        """R2: neither in the session nor in the store, but for the marker."""
        token = stored(manager, "ann", key=1)
        with manager.session(token) as session:
            handle = session.handle
            session.flash("message")
            end(session)
            assert session.status == Status.ENDED
            assert session == {}
            assert session.peek_flash() == []
            assert session.user_id is None
            assert session.generation is None
            assert session.new
            assert session.token != token
            assert session.handle != handle
        assert manager.load(token) is None
        assert live_rows(manager) == 0

    @pytest.mark.parametrize(
        ("end", "reason"),
        [(Session.invalidate, "invalidated"), (Session.sign_out, "signed_out")],
    )
    def test_the_marker_says_why(
        self, manager: SessionManager, end: Callable[[Session], None], reason: str
    ) -> None:
        """R3: for a minute, with the CSRF token, and nothing else."""
        token = stored(manager, "ann", key="value")
        csrf = loaded(manager, token).get_csrf_token()
        with manager.session(token) as session:
            end(session)
        marker = row_of(manager, token)
        assert (marker.ended, marker.user_id, marker.generation) == (reason, None, None)
        assert manager.kind.codec.decode(marker.data).csrf == csrf
        assert b"value" not in marker.data
        assert marker.expires_at == manager.kind.clock() + 60_000

    def test_what_is_set_afterwards_begins_a_new_session(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """R2: with a token, a handle, a beginning and a deadline of its own."""
        token = stored(manager, "ann", key=1)
        old = row_of(manager, token)
        clock.forward(60)
        with manager.session(token) as session:
            session.invalidate()
            session["after"] = 1
            assert session.status == Status.ENDED
        assert loaded(manager, session.token) == {"after": 1}
        new = row_of(manager, session.token)
        assert (new.user_id, new.created_at) == (None, clock.now)
        assert new.deadline == clock.now + 2 * 3_600_000
        assert new.handle != old.handle
        assert manager.load(token) is None

    def test_a_deadline_and_a_renewal_of_before_are_forgotten(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """R2: they were those of the session that ended."""
        with manager.session(stored(manager)) as session:
            session.deadline += 100 * HOUR
            session.renew()
            session.invalidate()
            session["after"] = 1
        assert row_of(manager, session.token).deadline == clock.now + 2 * 3_600_000

    def test_ending_twice_is_ending(self, manager: SessionManager) -> None:
        """R2: a new one is then not begun."""
        with manager.session(stored(manager)) as session:
            session.invalidate()
            session["between"] = 1
            session.invalidate()
        assert live_rows(manager) == 0


class TestMerging:
    """Taking over another session."""

    def test_its_contents_come_over_and_it_ends(self, manager: SessionManager) -> None:
        """I4: its values win; our user and deadline stay."""
        ours = stored(manager, "ann", a=1, b=1)
        with manager.session() as session:
            session.update(b=2, c=2)
            session.flash("theirs")
        theirs = session.token
        deadline = loaded(manager, ours).deadline
        with manager.session(ours) as session:
            session.flash("ours")
            assert session.merge(theirs) is True
            assert session.status == Status.MODIFIED
            assert session == {"a": 1, "b": 2, "c": 2}
        merged = loaded(manager, ours)
        assert merged == {"a": 1, "b": 2, "c": 2}
        assert merged.pop_flash() == ["ours", "theirs"]
        assert (merged.user_id, merged.deadline) == ("ann", deadline)
        assert row_of(manager, theirs).ended == "merged"
        assert live_rows(manager) == 1

    def test_an_empty_one_ends_too(self, manager: SessionManager) -> None:
        """I4: there was such a session."""
        ours, theirs = stored(manager, a=1), stored(manager)
        with manager.session(ours) as session:
            assert session.merge(theirs) is True
        assert live_rows(manager) == 1

    def test_a_new_session_can_take_one_over(self, manager: SessionManager) -> None:
        """I4: also in the request that signs in."""
        theirs = stored(manager, cart=[1])
        with manager.session() as session:
            session.sign_in("ann")
            assert session.merge(theirs)
        assert loaded(manager, session.token) == {"cart": [1]}
        assert loaded(manager, session.token).user_id == "ann"
        assert live_rows(manager) == 1

    @pytest.mark.parametrize("token", ["", "x", "A" * 43, "é" * 43, "A" * 1000])
    def test_a_token_that_opens_nothing_merges_nothing(self, session: Session, token: str) -> None:
        """L3: malformed or unknown."""
        assert session.merge(token) is False
        assert session.status == Status.UNMODIFIED

    def test_neither_does_an_ended_or_expired_one(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """L4: nor an unreadable one."""
        expired = stored(manager, a=1)
        clock.forward(2 * 3600)
        ended, unreadable = stored(manager, a=1), stored(manager, a=1)
        with manager.session(ended) as session:
            session.invalidate()
        break_row(manager, unreadable)
        session = loaded(manager, stored(manager))
        for token in (expired, ended, unreadable):
            assert session.merge(token) is False
        assert session == {}

    def test_another_users_session_is_refused(self, manager: SessionManager) -> None:
        """R4: nothing of another user's data comes over."""
        bobs = stored(manager, "bob", secret=1)
        for ours in (stored(manager, "ann"), stored(manager)):
            session = loaded(manager, ours)
            with pytest.raises(SessionError, match="another user"):
                session.merge(bobs)
            assert session == {}
            assert session.status == Status.UNMODIFIED
        assert loaded(manager, bobs) == {"secret": 1}

    def test_a_session_of_the_same_user_is_taken(self, manager: SessionManager) -> None:
        """I4: two devices become one."""
        other = stored(manager, "ann", a=1)
        with manager.session(stored(manager, "ann")) as session:
            assert session.merge(other)
        assert loaded(manager, session.token) == {"a": 1}

    def test_merging_twice_is_merging_once(self, manager: SessionManager) -> None:
        """I4: no flash message is doubled."""
        with manager.session() as theirs:
            theirs.flash("once")
        with manager.session(stored(manager)) as session:
            session.merge(theirs.token)
            session.merge(theirs.token)
        assert loaded(manager, session.token).peek_flash() == ["once"]

    @pytest.mark.parametrize(
        "first",
        [lambda s: None, lambda s: s.renew(), lambda s: s.sign_in("ann")],
        ids=["as it is", "renewed", "signed in"],
    )
    def test_a_session_does_not_merge_itself(
        self, manager: SessionManager, first: Callable[[Session], None]
    ) -> None:
        """I4: also by the token that it had until just now."""
        with manager.session() as session:
            session.flash("once")
            session["removed"] = 1
        token = session.token
        with manager.session(token) as session:
            del session["removed"]
            first(session)
            assert session.merge(token) is False
        assert loaded(manager, session.token).peek_flash() == ["once"]
        assert "removed" not in loaded(manager, session.token)

    def test_a_session_that_was_changed_elsewhere_does_not_merge_itself(
        self, manager: SessionManager
    ) -> None:
        """I4, S4: it would end itself."""
        token = stored(manager, a=1)
        with manager.session(token) as session:
            session["b"] = 2
            with manager.session(token) as other:
                other["c"] = 3
            assert session.merge(token) is False
        assert loaded(manager, token) == {"a": 1, "b": 2, "c": 3}

    def test_what_was_merged_ends_though_the_session_is_ended_then(
        self, manager: SessionManager
    ) -> None:
        """I4: its contents are gone with ours, so it must not stay alive by itself."""
        theirs = stored(manager, a=1)
        with manager.session(stored(manager)) as session:
            assert session.merge(theirs)
            session.invalidate()
        assert manager.load(theirs) is None
        assert live_rows(manager) == 0


class TestSigningIn:
    """The session of a user."""

    def test_an_anonymous_session_becomes_a_users(
        self, manager: SessionManager, clock: Clock
    ) -> None:
        """R4: a new token, a new handle, a new lifetime; what was put in the basket stays."""
        token = stored(manager, cart=[1])
        old = row_of(manager, token)
        csrf = loaded(manager, token).get_csrf_token()
        clock.forward(3600)
        with manager.session(token) as session:
            session.flash("welcome")
            session.sign_in("ann", generation=b"g1")
            assert (session.user_id, session.generation) == ("ann", b"g1")
            assert session.get_csrf_token() != csrf
            assert session == {"cart": [1]}
            assert session.status == Status.MODIFIED
        new = row_of(manager, session.token)
        assert (new.user_id, new.generation) == ("ann", b"g1")
        assert new.handle != old.handle
        assert new.created_at == clock.now
        assert new.deadline == clock.now + 8 * 3_600_000
        assert loaded(manager, session.token).peek_flash() == ["welcome"]
        assert row_of(manager, token).ended == "renewed"
        assert manager.load(token) is None

    def test_how_they_proved_it_and_why_they_left_are_texts(self, manager: SessionManager) -> None:
        """I16, I12: what can't be stored is refused at once, and leaves no unreadable session."""
        with manager.session() as session:
            for wrong in (5, b"password", ["x"]):
                with pytest.raises(TypeError, match="a sign-in's method is a str"):
                    session.sign_in("ann", method=wrong)  # type: ignore[arg-type]  # is the point
                with pytest.raises(TypeError, match="a reason is a str"):
                    session.sign_out(wrong)  # type: ignore[arg-type]  # is the point
            for odd in ("a\0", "\ud800", "a\nb"):
                with pytest.raises(ValueError, match="a sign-in's method is printable"):
                    session.sign_in("ann", method=odd)
                with pytest.raises(ValueError, match="a reason has 1 to 16 printable"):
                    session.sign_out(odd)
            assert session.user_id is None

    def test_an_enums_member_is_the_user_of_its_value(self, manager: SessionManager) -> None:
        """I11: whatever it says of itself."""

        class Name(str, Enum):  # noqa: UP042  # one whose `str` is not its value
            ANN = "ann"

        with manager.session() as session:
            session.sign_in(Name.ANN)
        assert [info.user_id for info in manager.of_user("ann")] == ["ann"]
        assert manager.end_all(Name.ANN) == 1

    def test_the_token_before_is_of_no_use_to_who_planted_it(self, manager: SessionManager) -> None:
        """R4: session fixation."""
        planted = stored(manager)
        with manager.session(planted) as victim:
            victim.sign_in("ann")
        assert manager.load(planted) is None
        assert victim.token != planted

    def test_signing_in_alone_makes_a_session(self, manager: SessionManager) -> None:
        """R4: empty as it is."""
        with manager.session() as session:
            assert session.user_id is None
            session.sign_in(17)
            assert session.status == Status.MODIFIED
        assert loaded(manager, session.token).user_id == "17"

    def test_nothing_of_another_users_data_survives(self, manager: SessionManager) -> None:
        """R4: values, messages, CSRF token, whatever was set in this request before."""
        token = stored(manager, "ann", secret=1)
        csrf = loaded(manager, token).get_csrf_token()
        with manager.session(token) as session:
            session["just"] = "now"
            session.flash("for ann")
            session.sign_in("bob")
            session["after"] = 1
            assert session == {"after": 1}
        bobs = loaded(manager, session.token)
        assert bobs == {"after": 1}
        assert bobs.peek_flash() == []
        assert bobs.get_csrf_token() != csrf
        assert bobs.user_id == "bob"
        assert manager.load(token) is None

    def test_not_even_what_another_request_adds_meanwhile(self, manager: SessionManager) -> None:
        """R4: the two are not merged then."""
        token = stored(manager, "ann", secret=1)
        with manager.session(token) as session, manager.session(token) as other:
            other["more"] = "secrets"
            other.flash("for ann")
            session.sign_in("bob")
        bobs = loaded(manager, session.token)
        assert bobs == {}
        assert bobs.peek_flash() == []
        assert live_rows(manager) == 1

    def test_the_same_user_again_keeps_the_data(self, manager: SessionManager) -> None:
        """R4, ASVS 7.2.4: re-authentication is a renewal."""
        token = stored(manager, "ann", key=1)
        with manager.session(token) as session:
            session.sign_in("ann")
        assert loaded(manager, session.token) == {"key": 1}
        assert session.token != token
        assert manager.load(token) is None

    def test_signing_out_and_in_at_once_keeps_nothing(self, manager: SessionManager) -> None:
        """R4: a new session, also of the same user."""
        token = stored(manager, "ann", key=1)
        with manager.session(token) as session:
            session.sign_out()
            session.sign_in("ann")
        assert loaded(manager, session.token) == {}
        assert loaded(manager, session.token).user_id == "ann"
        assert live_rows(manager) == 1

    def test_a_user_who_signed_in_and_out_at_once_is_out(self, manager: SessionManager) -> None:
        """R2: the last word counts."""
        with manager.session(stored(manager)) as session:
            session.sign_in("ann")
            session.sign_out()
            assert session.user_id is None
        assert live_rows(manager) == 0

    @pytest.mark.parametrize(
        "user_id", ["a", "ann@example.com", "Ünï cödé", "0", 0, 2**80, "x" * 255]
    )
    def test_a_user_id_is_a_printable_text_or_a_number(
        self, manager: SessionManager, user_id: str | int
    ) -> None:
        """I11: it comes back as a text, letter by letter."""
        assert loaded(manager, stored(manager, str(user_id))).user_id == str(user_id)
        with manager.session() as session:
            session.sign_in(user_id)
        assert loaded(manager, session.token).user_id == str(user_id)

    @pytest.mark.parametrize(
        "user_id",
        ["", "a\nb", "a\0", "\r", "\x1b[2J", "\u2028", "\ud800", "x" * (MAX_USER_ID + 1)],
        ids=ascii,
    )
    def test_another_one_is_refused(self, session: Session, user_id: str) -> None:
        """I11: it stands in lists and log lines, and the column ends."""
        with pytest.raises(ValueError, match="printable text of 1 to 255"):
            session.sign_in(user_id)
        assert session.user_id is None
        assert session.status == Status.UNMODIFIED

    @pytest.mark.parametrize("user_id", [None, b"ann", 1.5, True, ["ann"]], ids=repr)
    def test_what_is_neither_text_nor_number_signs_nobody_in(
        self, session: Session, user_id: Any
    ) -> None:
        """I11: the id of a user that was not yet stored is None, and there is no user "None"."""
        with pytest.raises((TypeError, ValueError)):
            session.sign_in(user_id)
        assert session.user_id is None
        assert session.status == Status.UNMODIFIED

    def test_a_user_can_not_be_assigned(self, session: Session) -> None:
        """I11: changed by signing in and out alone; nor is `user_id` a key."""
        with pytest.raises(AttributeError):
            session.user_id = "ann"  # type: ignore[misc]  # what is tried
        session["user_id"] = "ann"
        assert session.user_id is None


class TestToken:
    """What stands in the cookie."""

    def test_it_is_the_one_that_opened_the_session(self, manager: SessionManager) -> None:
        """I7: and of a new one, the one that will."""
        token = stored(manager)
        assert loaded(manager, token).token == token
        with manager.session() as session:
            announced = session.token
            assert session.token == announced
            session["key"] = 1
        assert loaded(manager, announced) == {"key": 1}

    def test_an_unknown_token_is_not_adopted(self, manager: SessionManager) -> None:
        """L3: what a client made up, or what stands in a stolen table (R6), opens nothing."""
        known = digest("session", stored(manager, key=1))
        for made_up in ("A" * 43, urlsafe_b64encode(known).decode().rstrip("=")):
            with manager.session(made_up) as session:
                assert session.new
                session["key"] = 2
            assert session.token != made_up
            assert manager.load(made_up) is None

    def test_one_managers_token_opens_nothing_of_another(self, manager: SessionManager) -> None:
        """L10: also in the same store."""
        token = stored(manager, key=1)
        manager.kind.name = "admin_session"
        assert manager.load(token) is None

    def test_the_row_holds_no_token(self, manager: SessionManager) -> None:
        """R6: nor does its marker."""
        token = stored(manager, "ann", key=1)
        assert token not in repr(row_of(manager, token))
        with manager.session(token) as session:
            session.renew()
        for part in (token, session.token):
            assert part not in repr(row_of(manager, token))

    @pytest.mark.parametrize(
        ("act", "status"),
        [
            (lambda s: None, Status.UNMODIFIED),
            (lambda s: s.get("key"), Status.UNMODIFIED),
            (lambda s: s.update(key=2), Status.MODIFIED),
            (lambda s: s["cart"].append(1), Status.MODIFIED),
            (lambda s: s.flash("x"), Status.MODIFIED),
            (lambda s: s.new_csrf_token(), Status.MODIFIED),
            (lambda s: s.remember_me(True), Status.MODIFIED),
            (lambda s: s.renew(), Status.MODIFIED),
            (lambda s: s.sign_in("ann"), Status.MODIFIED),
            (lambda s: s.invalidate(), Status.ENDED),
            (lambda s: s.sign_out(), Status.ENDED),
            (lambda s: (s.invalidate(), s.update(a=1)), Status.ENDED),
        ],
    )
    def test_the_status_says_what_it_is_about_to_become(
        self, session: Session, act: Callable[[Session], Any], status: Status
    ) -> None:
        """I7: as scs has it."""
        act(session)
        assert session.status is status
        assert session.status == status.value


class TestUnreadable:
    """A row that can't be decoded."""

    def test_it_is_an_empty_signed_out_session(self, manager: SessionManager) -> None:
        """L7: scs #269, Spring #529: an endless 500 elsewhere."""
        token = stored(manager, "ann", key=1)
        break_row(manager, token)
        with manager.session(token) as session:
            assert session == {}
            assert session.user_id is None
            assert session.peek_flash() == []
            assert session.new
            assert session.status == Status.UNMODIFIED
            assert session._state.loaded is not None
            assert session._state.loaded.origin is Origin.UNREADABLE
        assert row_of(manager, token).data == b"\xc1"

    def test_a_change_begins_another_and_leaves_the_row(self, manager: SessionManager) -> None:
        """L7: until it expires, so that somebody may look into it."""
        token = stored(manager, "ann", key=1)
        break_row(manager, token)
        with manager.session(token) as session:
            session["key"] = 2
        assert session.token != token
        assert loaded(manager, session.token) == {"key": 2}
        assert loaded(manager, session.token).user_id is None
        assert row_of(manager, token).data == b"\xc1"

    def test_it_can_be_ended(self, manager: SessionManager) -> None:
        """L7: by the user who is told that something is wrong."""
        token = stored(manager, "ann", key=1)
        break_row(manager, token)
        with manager.session(token) as session:
            session.invalidate()
        assert live_rows(manager) == 0


CHANGES: Mapping[str, Callable[[Session], Any]] = {
    "set": lambda s: s.update({"key": 2}),
    "item": lambda s: s.__setitem__("key", 2),
    "delete": lambda s: s.__delitem__("key"),
    "pop": lambda s: s.pop("key"),
    "popitem": lambda s: s.popitem(),
    "clear": lambda s: s.clear(),
    "setdefault": lambda s: s.setdefault("new", 1),
    "ior": lambda s: s.__ior__({"key": 2}),
    "flash": lambda s: s.flash("x"),
    "pop_flash": lambda s: s.pop_flash("pushed"),
    "csrf": lambda s: s.new_csrf_token(),
    "remember": lambda s: s.remember_me(True),
    "renew": lambda s: s.renew(),
    "invalidate": lambda s: s.invalidate(),
    "sign_in": lambda s: s.sign_in("ann"),
    "sign_out": lambda s: s.sign_out(),
    "merge": lambda s: s.merge("A" * 43),
    "deadline": lambda s: setattr(s, "deadline", s.deadline),
}
LOOKS: Mapping[str, Callable[[Session], Any]] = {
    "get": lambda s: s.get("key"),
    "item": lambda s: s["key"],
    "in": lambda s: "key" in s,
    "len": len,
    "iter": list,
    "equal": lambda s: s == {},
    "copy": lambda s: s.copy(),
    "get_as": lambda s: s.get_as("key", str),
    "setdefault": lambda s: s.setdefault("key"),
    "peek": lambda s: s.peek_flash("pushed"),
    "pop_nothing": lambda s: s.pop_flash("none"),
    "csrf": lambda s: s.get_csrf_token(),
    "user": lambda s: s.user_id,
    "generation": lambda s: s.generation,
    "token": lambda s: s.token,
    "handle": lambda s: s.handle,
    "status": lambda s: s.status,
    "deadline": lambda s: s.deadline,
    "created": lambda s: s.created,
    "new": lambda s: s.new,
}


class TestClosed:
    """After the response was decided."""

    @pytest.fixture
    def token(self, manager: SessionManager) -> str:
        with manager.session() as session:
            session["key"] = "value"
            session.flash("message", "pushed")
            session.get_csrf_token()
        return session.token

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_a_change_raises_and_changes_nothing(
        self, manager: SessionManager, token: str, change: Callable[[Session], Any]
    ) -> None:
        """S10: it would be lost."""
        session = loaded(manager, token)
        close(session)
        with pytest.raises(SessionClosed, match="changed after it was saved"):
            change(session)
        assert session == {"key": "value"}
        assert session.peek_flash("pushed") == ["message"]
        assert session.status == Status.UNMODIFIED
        assert session.token == token

    @pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
    def test_a_loaded_session_stays_readable(
        self, manager: SessionManager, token: str, look: Callable[[Session], Any]
    ) -> None:
        """S10, S12: in a streamed body, say."""
        session = loaded(manager, token)
        before = look(session)
        close(session)
        assert look(session) == before

    @pytest.mark.parametrize("use", [*CHANGES.values(), *LOOKS.values()], ids=[*CHANGES, *LOOKS])
    def test_a_first_access_raises(
        self, manager: SessionManager, token: str, use: Callable[[Session], Any]
    ) -> None:
        """S10: there is no telling the client about it any more; the store is not asked."""
        with manager.session(token) as session:
            close(session)
            with pytest.raises(SessionClosed, match="first used after its response was decided"):
                use(session)
            assert session._state.loaded is None
        assert repr(session) == "<Session, not loaded>"
