"""Two requests changed one session at the same time."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from msgspec.structs import replace

from myapp.sessions.core.codec import Codec, Content, FlashMessage, MessagePack
from myapp.sessions.core.merge import merge

same = Codec(MessagePack(), max_size=1000).same

# Few keys and few values, so that the three often have some in common.
some_values = st.sampled_from([0, 1, True, 1.0, None, [1], [1, 2], {"a": 1, "b": 2}, {"b": 2}])
values = st.dictionaries(st.sampled_from("abcd"), some_values, max_size=4)
few_tokens = st.sampled_from([None, "one", "two", "three"])
wishes = st.sampled_from([None, True, False])


def contents(values: st.SearchStrategy[dict[str, Any]] = values) -> st.SearchStrategy[Content]:
    """What one of the three may hold, flash messages aside."""
    return st.builds(Content, values=values, csrf=few_tokens, remember=wishes)


@st.composite
def three(draw: st.DrawFn) -> tuple[Content, Content, Content]:
    """A session as it was loaded, and as two requests left it, flash messages and all."""
    base, mine, theirs = (draw(contents()) for _ in range(3))
    base.flash = draw(pushed_onto({}, "b"))
    mine.flash = draw(pushed_onto(draw(popped_from(base.flash)), "m"))
    theirs.flash = draw(pushed_onto(draw(popped_from(base.flash)), "t"))
    return base, mine, theirs


Flash = dict[str, list[FlashMessage]]


@st.composite
def popped_from(draw: st.DrawFn, flash: Flash) -> Flash:
    """A request showed the messages of some queues."""
    kept = draw(st.sets(st.sampled_from(sorted(flash)))) if flash else set()
    return {queue: list(messages) for queue, messages in flash.items() if queue in kept}


@st.composite
def pushed_onto(draw: st.DrawFn, flash: Flash, who: str) -> Flash:
    """A request added messages; their ids are new, their texts need not be."""
    pushed = {queue: list(messages) for queue, messages in flash.items()}
    for number, queue in enumerate(draw(st.lists(st.sampled_from(["", "error"]), max_size=3))):
        pushed.setdefault(queue, []).append([f"{who}{number}", draw(st.sampled_from(["hi", "ho"]))])
    return pushed


def ids(flash: Flash) -> list[str]:
    """The ids of all messages, in order of queue and message."""
    return [id_ for queue in sorted(flash) for id_, _ in flash[queue]]


def merged(base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The values that are stored after a conflict."""
    return merge(Content(base), Content(mine), Content(theirs), same).values


def changed_keys(base: dict[str, Any], side: dict[str, Any]) -> set[str]:
    """The keys that one request added, changed or removed."""
    return {
        key
        for key in base.keys() | side.keys()
        if key not in base or key not in side or not same(base[key], side[key])
    }


class TestValues:
    """The unit is the top-level key."""

    def test_different_keys_both_survive(self) -> None:
        """S4: added, changed or removed."""
        base = {"a": 1, "b": 1, "c": 1, "d": 1}
        mine = {"a": 2, "c": 1, "d": 1, "new": 1}
        theirs = {"a": 1, "b": 1, "c": 2, "newer": 1}
        assert merged(base, mine, theirs) == {"a": 2, "c": 2, "new": 1, "newer": 1}

    def test_on_the_same_key_mine_wins(self) -> None:
        """S4: it is the later save."""
        assert merged({"a": 1}, {"a": 2}, {"a": 3}) == {"a": 2}
        assert merged({}, {"a": 2}, {"a": 3}) == {"a": 2}
        assert merged({"a": 1}, {}, {"a": 3}) == {}
        assert merged({"a": 1}, {"a": 2}, {}) == {"a": 2}

    def test_what_i_left_alone_is_as_they_left_it(self) -> None:
        """S4: changed, removed or added."""
        assert merged({"a": 1}, {"a": 1}, {"a": 3}) == {"a": 3}
        assert merged({"a": 1}, {"a": 1}, {}) == {}
        assert merged({}, {}, {"a": 1}) == {"a": 1}

    def test_clearing_removes_only_the_keys_that_i_saw(self) -> None:
        """S4: what came meanwhile stays."""
        assert merged({"a": 1, "b": 1}, {}, {"a": 2, "b": 1, "c": 1}) == {"c": 1}

    def test_a_nested_change_rewrites_its_key(self) -> None:
        """S4: there is no merging below the top."""
        assert merged({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "z": 3}}) == {
            "a": {"x": 1, "y": 2}
        }

    @pytest.mark.parametrize("again", [(1, 2), [1, 2]])
    def test_who_assigns_what_was_there_has_changed_nothing(self, again: Any) -> None:
        """S4: values are compared, not bytes; a tuple is the list that it comes back as."""
        assert merged({"a": [1, 2]}, {"a": again}, {"a": [3]}) == {"a": [3]}

    @pytest.mark.parametrize(("was", "now"), [(1, True), (True, 1), (0, False), (1, 1.0)])
    def test_a_value_of_another_type_is_a_change(self, was: Any, now: Any) -> None:
        """S4: Python calls the two equal."""
        result = merged({"a": was}, {"a": now}, {"a": was, "b": 1})["a"]
        assert (result, type(result)) == (now, type(now))

    def test_another_order_of_a_dictionary_is_no_change(self) -> None:
        """S4: at the top as well as below."""
        mine = {"b": 1, "a": {"y": 2, "x": 1}}
        assert merged({"a": {"x": 1, "y": 2}, "b": 1}, mine, {"a": 3, "b": 4}) == {"a": 3, "b": 4}

    @given(values, values, values)
    @hypothesis(max_examples=300)
    def test_each_key_by_itself(
        self, base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
    ) -> None:
        """S4: mine where I changed it, theirs where I did not, whatever the other keys are."""
        result = merged(base, mine, theirs)
        for key in "abcd":
            source = mine if key in changed_keys(base, mine) else theirs
            assert (key in result) == (key in source)
            assert key not in source or same(result[key], source[key])


class TestAllOfIt:
    """What holds for values, flash messages, the CSRF token and the wish to be remembered."""

    @given(three())
    def test_nothing_is_changed_in_place(self, three: tuple[Content, Content, Content]) -> None:
        """S4: the three may be needed once more."""
        before = deepcopy(three)
        merge(*three, same)
        assert three == before

    @given(three())
    def test_who_changed_nothing_leaves_what_is_there(
        self, three: tuple[Content, Content, Content]
    ) -> None:
        """S4: merge(base, base, theirs) is theirs."""
        base, _, theirs = three
        assert merge(base, deepcopy(base), theirs, same) == theirs

    @given(three())
    def test_without_another_change_the_result_is_mine(
        self, three: tuple[Content, Content, Content]
    ) -> None:
        """S4: merge(base, mine, base) is mine."""
        base, mine, _ = three
        assert merge(base, mine, deepcopy(base), same) == mine

    @given(three())
    def test_doing_it_twice_does_it_once(self, three: tuple[Content, Content, Content]) -> None:
        """S7: a commit that may or may not have happened is merged with itself."""
        base, mine, theirs = three
        once = merge(base, mine, theirs, same)
        assert merge(base, mine, once, same) == once

    @given(three())
    def test_two_that_change_nothing_in_common_may_come_in_any_order(
        self, three: tuple[Content, Content, Content]
    ) -> None:
        """S4: both changes survive, whoever saves first."""
        base, mine, theirs = (replace(content, csrf=None, remember=None) for content in three)
        for key in changed_keys(base.values, mine.values) & changed_keys(
            base.values, theirs.values
        ):
            for content in (base, mine, theirs):
                content.values.pop(key, None)
        one, other = merge(base, mine, theirs, same), merge(base, theirs, mine, same)
        assert same(one.values, other.values)
        assert sorted(ids(one.flash)) == sorted(ids(other.flash))


class TestFlash:
    """No message vanishes unseen, and none is shown twice."""

    def test_both_push(self) -> None:
        """S4: theirs first, since they were stored first."""
        base = {"": [["b", "hi"]]}
        mine = Content(flash={"": [["b", "hi"], ["m", "ho"]]})
        theirs = Content(flash={"": [["b", "hi"], ["t", "ho"]], "error": [["e", "!"]]})
        result = merge(Content(flash=base), mine, theirs, same).flash
        assert result == {"": [["b", "hi"], ["t", "ho"], ["m", "ho"]], "error": [["e", "!"]]}

    def test_i_pop_what_they_push(self) -> None:
        """S4: popping removes only what was returned."""
        base = Content(flash={"": [["b", "hi"]]})
        theirs = Content(flash={"": [["b", "hi"], ["t", "hi"]]})
        assert merge(base, Content(), theirs, same).flash == {"": [["t", "hi"]]}

    def test_they_pop_what_i_saw(self) -> None:
        """S4: I do not put it back."""
        base = Content(flash={"": [["b", "hi"]]})
        mine = Content(flash={"": [["b", "hi"], ["m", "ho"]]})
        assert merge(base, mine, Content(), same).flash == {"": [["m", "ho"]]}

    def test_both_pop(self) -> None:
        """S2: an empty queue is nothing."""
        base = Content(flash={"": [["b", "hi"]]})
        assert merge(base, Content(), Content(), same).is_empty()

    @given(three())
    @example((Content(), Content(flash={"": [["m0", "hi"]]}), Content(flash={"": [["t0", "hi"]]})))
    @hypothesis(max_examples=300)
    def test_every_message_is_there_once_unless_it_was_popped(
        self, three: tuple[Content, Content, Content]
    ) -> None:
        """S4: pushed by whomever, in the queue it was pushed onto, in the order of pushing."""
        base, mine, theirs = three
        popped_by_me = set(ids(base.flash)) - set(ids(mine.flash))
        result = merge(base, mine, theirs, same).flash
        for queue in ("", "error"):
            expected = [m for m in theirs.flash.get(queue, []) if m[0] not in popped_by_me]
            expected += [m for m in mine.flash.get(queue, []) if m[0].startswith("m")]
            assert result.get(queue, []) == expected
        assert all(result.values())


class TestTheRest:
    """The CSRF token, and the wish to be remembered."""

    @pytest.mark.parametrize(
        ("base", "mine", "theirs", "expected"),
        [
            ("b", "b", "b", "b"),
            ("b", "b", "t", "t"),
            ("b", "m", "b", "m"),
            ("b", "m", "t", "m"),
            (None, None, "t", "t"),
            (None, "m", None, "m"),
            (None, "m", "t", "m"),
            ("b", None, "t", None),
        ],
    )
    def test_the_csrf_token_is_mine_if_i_made_one(
        self, base: str | None, mine: str | None, theirs: str | None, expected: str | None
    ) -> None:
        """S4: the later save wins here too."""
        three = (Content(csrf=base), Content(csrf=mine), Content(csrf=theirs))
        assert merge(*three, same).csrf == expected

    @pytest.mark.parametrize("theirs", [None, True, False])
    @pytest.mark.parametrize("mine", [None, True, False])
    @pytest.mark.parametrize("base", [None, True, False])
    def test_the_wish_to_be_remembered_is_mine_if_i_said_so(
        self, base: bool | None, mine: bool | None, theirs: bool | None
    ) -> None:
        """I5: False is something else than nothing said."""
        three = (Content(remember=base), Content(remember=mine), Content(remember=theirs))
        assert merge(*three, same).remember is (theirs if mine is base else mine)
