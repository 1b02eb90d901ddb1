"""What can be stored, what is refused, and bytes that are no session."""

from __future__ import annotations

import enum
import math
import pickle
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from markupsafe import Markup
from pyramid.i18n import TranslationString
from pyramid.session import JSONSerializer

from myapp.sessions.core.codec import MAX_DEPTH, Codec, Content, MessagePack
from myapp.sessions.core.errors import NotStorable, SessionTooLarge, UnreadableData

msgpack = Codec(MessagePack(), max_size=1000)
json = Codec(JSONSerializer(), max_size=1000)


class Berlin(tzinfo):
    """Central European Time in 2024, needing no data of the system's."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        assert when is not None
        local = (when.month, when.day, when.hour + when.fold)
        return timedelta(hours=2 if (3, 31, 3) <= local < (10, 27, 3) else 1)

    def dst(self, when: datetime | None) -> timedelta:
        return self.utcoffset(when) - timedelta(hours=1)

    def tzname(self, when: datetime | None) -> str:
        return "Berlin"


BERLIN = Berlin()


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.StrEnum):
    RED = "red"


@dataclass
class Point:
    x: int = 0


class Shouting(str):
    """A text that equals another one and looks different."""

    __slots__ = ()

    def __repr__(self) -> str:
        return self.upper()


def nested(levels: int, innermost: Any = 1) -> Any:
    """A value inside so many lists and dictionaries."""
    for level in range(levels):
        innermost = {"in": innermost} if level % 2 else [innermost]
    return innermost


def as_lists(value: Any) -> Any:
    """A value as it is to come back: tuples have become lists."""
    if isinstance(value, list | tuple):
        return [as_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return value


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=8),
    st.datetimes(timezones=st.just(UTC)).map(lambda when: when.replace(fold=0)),
)


def values_of(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> Any:
    """Values nested in lists, tuples and dictionaries."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.lists(inner, max_size=4).map(tuple)
            | st.dictionaries(keys, inner, max_size=4)
        ),
        max_leaves=12,
    )


storable = values_of(leaves, texts | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=4))
flash = st.dictionaries(
    texts, st.lists(st.tuples(texts, storable).map(list), min_size=1, max_size=3), max_size=2
)
contents = st.builds(
    Content,
    values=st.dictionaries(texts, storable, max_size=4),
    flash=flash,
    csrf=st.none() | texts,
    remember=st.none() | st.booleans(),
)


class TestRoundTrip:
    """What is stored comes back equal."""

    @given(contents)
    def test_a_content_comes_back(self, content: Content) -> None:
        """S10: values, flash messages, CSRF token and the wish to be remembered."""
        back = msgpack.decode(msgpack.encode(content))
        assert back.values == as_lists(content.values)
        assert back.flash == as_lists(content.flash)
        assert (back.csrf, back.remember) == (content.csrf, content.remember)

    @given(storable)
    def test_what_passes_the_check_is_the_same_afterwards(self, value: Any) -> None:
        """S10: in type as well, tuples aside."""
        msgpack.check("key", value)
        back = msgpack.decode(msgpack.encode(Content(values={"key": value}))).values["key"]
        assert msgpack.same(back, as_lists(value))
        assert repr(back) == repr(as_lists(value))

    @given(values_of(json_leaves, texts))
    def test_the_same_holds_with_a_json_serializer(self, value: Any) -> None:
        """I10: Pyramid's own, say."""
        json.check("key", value)
        back = json.decode(json.encode(Content(values={"key": value}, csrf="c")))
        assert repr(back.values["key"]) == repr(as_lists(value))
        assert back.csrf == "c"

    @given(st.one_of(storable, st.text(), st.integers(), st.floats(), st.sets(st.integers())))
    def test_what_passes_the_check_comes_back_equal_whatever_it_is(self, value: Any) -> None:
        """S10: no value is let in that the next request would find changed."""
        try:
            msgpack.check("key", value)
        except NotStorable:
            return
        back = msgpack.decode(msgpack.encode(Content(values={"key": value}))).values["key"]
        assert back == as_lists(value)

    def test_tuples_come_back_as_lists_at_any_depth(self) -> None:
        """S10: the one exception, as with JSON."""
        value = (1, [(2, {"k": (3,)})], ())
        msgpack.check("key", value)
        back = msgpack.decode(msgpack.encode(Content(values={"key": value})))
        assert back.values == {"key": [1, [[2, {"k": [3]}]], []]}

    @pytest.mark.parametrize(
        "value",
        [
            Markup("<b>&amp;</b>"),
            Shouting("text"),
            Colour.RED,
            Level.HIGH,
            [Markup("é"), {"k": Level.HIGH}],
            OrderedDict(b=1, a=2),
            bytearray(b"\x00\xff"),
            {Colour.RED: 1, Shouting("k"): 2},
            {1: {b"k": None}, None: 2, (1, 2): 3},
            datetime(2024, 2, 29, 12, 30, 1, 999_999, tzinfo=timezone(timedelta(hours=5.5))),
            datetime.max.replace(tzinfo=UTC),
            datetime.min.replace(tzinfo=UTC),
            math.inf,
            -(2**63),
            2**64 - 1,
            "\x00\x1f\x7f\U0001f600",
        ],
        ids=repr,
    )
    def test_a_value_of_a_kindred_type_comes_back_equal(self, value: Any) -> None:
        """S10: Markup as the text that it is, an IntEnum as its number."""
        msgpack.check("key", value)
        back = msgpack.decode(msgpack.encode(Content(values={"key": value}, csrf="c")))
        assert back.values["key"] == value
        assert value == back.values["key"]

    @pytest.mark.parametrize("fold", [0, 1])
    @pytest.mark.parametrize("month", [3, 10])
    def test_the_hour_that_comes_twice_or_never_can_be_stored(self, month: int, fold: int) -> None:
        """S10: though Python then says that it equals no datetime of another zone."""
        when = datetime(2024, month, 31 if month == 3 else 27, 2, 30, fold=fold, tzinfo=BERLIN)
        msgpack.check("key", [when])
        back = msgpack.decode(msgpack.encode(Content(values={"key": when}))).values["key"]
        assert back == when.astimezone(UTC)

    def test_what_is_rare_costs_no_bytes(self) -> None:
        """P1: most sessions have neither flash messages nor a CSRF token."""
        assert msgpack.encode(Content(values={"a": 1})) == b"\x91\x81\xa1a\x01"


class Unsupported:
    """A class that no serializer knows."""


itself: list[Any] = []
itself.append(itself)
circular: dict[str, Any] = {}
circular["list"] = [circular]


class Measured(str):
    """A text with something of its own."""

    def __new__(cls, text: str, unit: str = "") -> Measured:
        made = super().__new__(cls, text)
        made.unit = unit
        return made

    unit: str


class Cart(dict[str, int]):
    """A dictionary with something of its own."""

    def __init__(self, owner: str) -> None:
        super().__init__(apple=1)
        self.owner = owner


class Place(NamedTuple):
    x: int


LOSING = [
    (TranslationString("welcome", domain="app"), "translate it first"),
    (TranslationString("welcome"), "translate it first"),
    (Measured("3", "kg"), "store a plain value"),
    (Cart("ann"), "store a plain value"),
    (Place(1), "make it a dict"),
    (defaultdict(list, a=[1]), "make it a dict"),
    (Counter("aab"), "make it a dict"),
]

UNSTORABLE: list[tuple[Any, str]] = [
    ({1, 2}, "set"),
    (frozenset("a"), "frozenset"),
    (Decimal("1.5"), "Decimal"),
    (UUID(int=1), "UUID"),
    (datetime(2024, 1, 1), "datetime"),  # naive is the point
    (date(2024, 1, 1), "date"),
    (datetime(2024, 1, 1, tzinfo=UTC).timetz(), "time"),
    (timedelta(1), "timedelta"),
    (Point(), "Point"),
    (math.nan, "float"),
    (2**64, "int"),
    (-(2**63) - 1, "int"),
    (1j, "complex"),
    ("\ud800", "str"),
    ("a\udc80", "str"),
    (object(), "object"),
    (Unsupported(), "Unsupported"),
    (Unsupported, "type"),
    (range(3), "range"),
    (iter([]), "list_iterator"),
    (len, "builtin_function_or_method"),
    (itself, "list"),
    (circular, "dict"),
    (nested(MAX_DEPTH + 1), "list"),
    (nested(2000), "dict"),
    (nested(100_000), "dict"),
]


class TestRefusal:
    """What would not come back is refused where it is assigned."""

    @pytest.mark.parametrize(
        ("value", "kind"), UNSTORABLE, ids=[f"{n}-{kind}" for n, (_, kind) in enumerate(UNSTORABLE)]
    )
    def test_the_error_names_key_and_type(self, value: Any, kind: str) -> None:
        """S10: it is a TypeError too, as from any serializer."""
        with pytest.raises(NotStorable) as caught:
            msgpack.check("some key", value)
        assert str(caught.value).startswith(f"session['some key']: a {kind} can't be stored: ")
        assert isinstance(caught.value, TypeError)
        assert caught.value.key == "some key"

    @pytest.mark.parametrize(
        ("value", "kind"), UNSTORABLE, ids=[f"{n}-{kind}" for n, (_, kind) in enumerate(UNSTORABLE)]
    )
    def test_so_is_one_inside_another_value(self, value: Any, kind: str) -> None:
        """S10: beside whatever can be stored."""
        for outer in ([1, value], {"ok": 1, "not": value}, (value,), [{"a": [value]}]):
            with pytest.raises(NotStorable, match="some key"):
                msgpack.check("some key", outer)

    @pytest.mark.parametrize(
        "key", [1, None, b"key", ("a",), 1.5, True, Colour.RED, Markup("a"), [], "\ud800"], ids=repr
    )
    def test_a_key_that_is_no_text_is_refused(self, key: Any) -> None:
        """S10: also one that merely equals a text, or that has a character only by half."""
        with pytest.raises(NotStorable, match="a key must be a str"):
            msgpack.check(key, 1)
        with pytest.raises(NotStorable, match="a key must be a str"):
            json.check(key, 1)

    @pytest.mark.parametrize("codec", [msgpack, json])
    def test_what_equals_and_loses_something_is_refused(self, codec: Codec) -> None:
        """S10: a lazy translation would come back as its bare key, a named tuple as a list; the
        error says what to do, with whatever serializer, at any depth and as a key.
        """
        for value, advice in LOSING:
            as_key = [{value: 1}] if isinstance(value, str) else []
            for each in (value, [value], {"k": [1, value]}, *as_key):
                with pytest.raises(NotStorable, match=advice) as caught:
                    codec.check("greeting", each)
                kind = type(value).__qualname__
                assert str(caught.value).startswith("session['greeting']: a ")
                assert f"a {kind} would lose" in str(caught.value)

    def test_a_serializer_that_loses_nothing_may_store_it(self) -> None:
        """I10: one that gives each type back as it was."""

        class Exact:
            dumps, loads = staticmethod(pickle.dumps), staticmethod(pickle.loads)

        for value, _ in LOSING:
            Codec(Exact(), 1000).check("key", [value, (value,)])

    def test_an_error_of_saving_names_the_key_that_changed_inside(self) -> None:
        """S10: a nested change is checked when it is saved."""
        content = Content(values={"good": [1], "bad": [1, {"k": object()}]})
        with pytest.raises(NotStorable, match=r"session\['bad'\]: a list can't be stored"):
            msgpack.encode(content)

    def test_a_flash_message_that_changed_inside_is_named_as_such(self) -> None:
        """S10: it has no key."""
        with pytest.raises(NotStorable, match="flash message"):
            msgpack.encode(Content(values={"good": 1}, flash={"": [["id", object()]]}))

    def test_a_hundred_levels_are_stored(self) -> None:
        """S10: what is stored can be read on whatever stack the next request has."""
        msgpack.check("key", nested(MAX_DEPTH))
        data = msgpack.encode(Content(values={"key": nested(MAX_DEPTH)}))

        def deeper(calls: int) -> Content:
            return deeper(calls - 1) if calls else msgpack.decode(data)

        assert deeper(500).values == {"key": nested(MAX_DEPTH)}

    @pytest.mark.parametrize(
        "value",
        [b"bytes", {1: 2}, {"k": {None: 1}}, [b""], datetime(2024, 1, 1, tzinfo=UTC), {1}],
        ids=repr,
    )
    def test_a_json_serializer_refuses_what_json_changes(self, value: Any) -> None:
        """I10, S10: bytes, and keys that JSON would turn into texts."""
        with pytest.raises(NotStorable, match="key"):
            json.check("key", value)

    def test_a_serializer_of_ones_own_may_raise_anything(self) -> None:
        """I10: it becomes the one error that a view has to know."""

        class Broken:
            def dumps(self, appstruct: Any) -> bytes:
                raise LookupError("no codec")

            def loads(self, bstruct: bytes) -> Any:
                raise LookupError("no codec")

        codec = Codec(Broken(), 1000)
        with pytest.raises(NotStorable, match="no codec"):
            codec.check("key", 1)
        with pytest.raises(NotStorable):
            codec.encode(Content(values={"key": 1}))
        with pytest.raises(UnreadableData):
            codec.decode(b"x")

    @pytest.mark.parametrize("value", [1, True, None, "text", "é", 2**63, [1]], ids=repr)
    def test_a_serializer_that_loses_something_is_noticed(self, value: Any) -> None:
        """S10: whatever the serializer and the value, the value is tried out."""

        class Forgetful:
            def dumps(self, appstruct: Any) -> bytes:
                return b""

            def loads(self, bstruct: bytes) -> Any:
                return ["something else"]

        with pytest.raises(NotStorable, match="it would come back as str 'something else'"):
            Codec(Forgetful(), 1000).check("key", value)


class TestSize:
    """session.max_size"""

    def test_the_limit_itself_is_allowed(self) -> None:
        """S10: one byte more is not."""
        msgpack.check_size(bytes(1000))
        with pytest.raises(
            SessionTooLarge, match=r"1001 bytes, more than session.max_size allows \(1000\)"
        ) as caught:
            msgpack.check_size(bytes(1001))
        assert (caught.value.size, caught.value.limit) == (1001, 1000)
        assert isinstance(caught.value, ValueError)


bomb_went_off: list[str] = []


def go_off(word: str) -> None:
    """What no reader of rows may ever call."""
    bomb_went_off.append(word)


class Bomb:
    """An object whose pickle runs code when it is read."""

    def __reduce__(self) -> Any:
        return go_off, ("bang",)


def readable_or_unreadable(codec: Codec, data: bytes) -> None:
    """Decode bytes: what comes out is a session's content, or else UnreadableData."""
    try:
        content = codec.decode(data)
    except UnreadableData:
        return
    assert type(content.values) is dict
    assert all(type(key) is str for key in content.values)
    assert content.csrf is None or type(content.csrf) is str
    assert content.remember in (None, True, False)
    for queue, messages in content.flash.items():
        assert type(queue) is str
        assert all(type(id_) is str for id_, _ in messages)


class TestUnreadable:
    """Bytes that are no session raise UnreadableData, and nothing else."""

    @given(st.binary(max_size=60))
    @hypothesis(max_examples=1000)
    def test_random_bytes(self, data: bytes) -> None:
        """L7: whatever is in the row."""
        readable_or_unreadable(msgpack, data)
        readable_or_unreadable(json, data)

    @given(contents, st.data())
    @hypothesis(max_examples=300)
    def test_a_row_with_some_bytes_changed(self, content: Content, data: st.DataObject) -> None:
        """L7: a disk or a driver that garbles."""
        row = bytearray(msgpack.encode(content))
        for at in data.draw(st.lists(st.integers(0, len(row) - 1), min_size=1, max_size=3)):
            row[at] = data.draw(st.integers(0, 255))
        readable_or_unreadable(msgpack, bytes(row))

    @given(contents)
    @example(Content())
    def test_a_row_cut_short_or_continued(self, content: Content) -> None:
        """L7: as by a column that is too small."""
        row = msgpack.encode(content)
        for end in range(len(row)):
            with pytest.raises(UnreadableData):
                msgpack.decode(row[:end])
        with pytest.raises(UnreadableData):
            msgpack.decode(row + b"\x00")

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    @pytest.mark.parametrize("codec", [msgpack, json], ids=["msgpack", "json"])
    def test_a_pickle_is_never_run(self, codec: Codec, protocol: int) -> None:
        """L7: ASVS 1.5.2: pickles of another session library are unreadable, and so are bombs."""
        for thing in ([{"a": 1}], {"a": 1}, Point(1), Bomb(), [{"a": Bomb()}]):
            with pytest.raises(UnreadableData):
                codec.decode(pickle.dumps(thing, protocol))
        assert bomb_went_off == []
        pickle.loads(pickle.dumps(Bomb(), protocol))
        assert bomb_went_off.pop() == "bang"

    @pytest.mark.parametrize(
        "data",
        [
            b"\x91" * 100_000,
            b"\x81\xa1a" * 100_000,
            b"\x91\x81\xa1a" + b"\x91" * 100_000 + b"\x00",
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
            b"\x91\xdd\x7f\xff\xff\xff",
            b"\xc1",
            b"\x91\x81\xa1\xff\x01",
            b"\x91\xc7\xff\x05",
        ],
        ids=lambda data: data[:6].hex(),
    )
    def test_bombs_of_depth_and_length(self, data: bytes) -> None:
        """L7: neither the stack nor the memory is exhausted."""
        with pytest.raises(UnreadableData):
            msgpack.decode(data)

    @pytest.mark.parametrize(
        "structure",
        [
            None,
            1,
            "text",
            {},
            {"a": 1},
            [],
            [1],
            [None],
            [[]],
            [{1: 2}],
            [{None: 2}],
            [{b"a": 2}],
            [{}, {}],
            [{}, {}, None],
            [{}, {}, None, None, 1],
            [{}, {}, None, None, None, None],
            [{}, [], None, None],
            [{}, {1: []}, None, None],
            [{}, {"": [["id"]]}, None, None],
            [{}, {"": [["id", "message", 1]]}, None, None],
            [{}, {"": [[1, "message"]]}, None, None],
            [{}, {"": ["id"]}, None, None],
            [{}, {"": None}, None, None],
            [{}, {}, 1, None],
            [{}, {}, b"token", None],
            [{}, {}, None, 1],
            [{}, {}, None, "yes"],
            [1, {}, None, None],
        ],
        ids=repr,
    )
    def test_another_structure_is_no_session(self, structure: Any) -> None:
        """L7: readable to the serializer, and yet not ours."""
        with pytest.raises(UnreadableData):
            msgpack.decode(msgspec.msgpack.encode(structure))

    def test_the_error_shows_nothing_of_the_data(self) -> None:
        """R6: it is logged, and the data are somebody's."""
        with pytest.raises(UnreadableData) as caught:
            msgpack.decode(b"\x91\x81\xa6secret\xa6secret--")
        assert str(caught.value) == "DecodeError in 18 bytes"


class TestSame:
    """Whether two values are stored alike."""

    @given(storable)
    def test_a_value_is_stored_like_itself_and_like_what_comes_back(self, value: Any) -> None:
        """S4: values are compared, not bytes."""
        back = msgpack.decode(msgpack.encode(Content(values={"key": value}))).values["key"]
        assert msgpack.same(value, value)
        assert msgpack.same(value, back)
        assert msgpack.same(back, value)

    @given(storable, storable)
    def test_what_is_the_same_is_equal(self, one: Any, other: Any) -> None:
        """S4: and the same either way round."""
        assert msgpack.same(one, other) is msgpack.same(other, one)
        if msgpack.same(one, other):
            assert as_lists(one) == as_lists(other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (1, True),
            (0, False),
            (1, 1.0),
            (True, 1.0),
            ([1], [True]),
            ({"a": [0]}, {"a": [False]}),
            ((1,), [1.0]),
            ("1", 1),
            (b"a", "a"),
            (None, False),
            ([], {}),
            ([], None),
            ([1, 2], [2, 1]),
            ([1], [1, 1]),
            ({"a": 1}, {"a": 1, "b": 1}),
            ({"a": 1}, {"b": 1}),
            ({1}, [1]),
        ],
        ids=repr,
    )
    def test_values_of_other_types_differ(self, one: Any, other: Any) -> None:
        """S4: `1`, `True` and `1.0` are equal to Python and stored as three things."""
        assert not msgpack.same(one, other)
        assert not msgpack.same(other, one)
        assert not json.same(one, other) or b"a" in (one, other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"d": 3, "c": 2}], "a": 1}),
            ((1, (2,)), [1, [2]]),
            (Markup("<b>"), "<b>"),
            (Level.HIGH, 3),
            (Colour.RED, "red"),
            (OrderedDict(a=1), {"a": 1}),
            (bytearray(b"a"), b"a"),
            (
                datetime(2024, 1, 1, tzinfo=UTC),
                datetime(2023, 12, 31, 23, tzinfo=timezone(timedelta(hours=-1))),
            ),
        ],
        ids=repr,
    )
    def test_what_is_stored_alike_is_the_same(self, one: Any, other: Any) -> None:
        """S4: who assigns again what was loaded, a tuple say, has changed nothing."""
        assert msgpack.same(one, other)
        assert msgpack.same(other, one)


class TestEmpty:
    """Content that needs no row."""

    @pytest.mark.parametrize("remember", [None, True, False])
    def test_being_remembered_alone_is_nothing(self, remember: bool | None) -> None:
        """S2: there is nothing to remember."""
        assert Content(remember=remember).is_empty()

    @pytest.mark.parametrize(
        "content",
        [Content(values={"a": None}), Content(flash={"": [["id", 1]]}), Content(csrf="c")],
        ids=["value", "flash", "csrf"],
    )
    def test_anything_else_is_something(self, content: Content) -> None:
        """S2: a value of None too."""
        assert not content.is_empty()
