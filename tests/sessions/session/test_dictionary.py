"""A session behaves as a dictionary does, and is saved as one."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from datetime import date
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from myapp.sessions import (
    NotStorable,
    Session,
    SessionManager,
    Status,
)
from myapp.sessions.testing import memory_manager
from tests.sessions.app import Clock
from tests.sessions.session.helpers import (
    loaded,
    stored,
)

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
