"""Values as the type that is asked for."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from myapp.sessions import (
    Session,
    SessionManager,
    Status,
    WrongType,
)
from tests.sessions.session.helpers import (
    loaded,
    stored,
)


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
        with pytest.raises(WrongType, match=r"^session\['key'\] is not of type ") as caught:
            session.get_as("key", type_, default=type_)
        assert isinstance(caught.value, TypeError)
        assert (caught.value.key, caught.value.wanted) == ("key", type_)

    @pytest.mark.parametrize("type_", [list[int], int | None, dict[str, int]], ids=str)
    def test_the_error_names_the_type_in_full(self, session: Session, type_: Any) -> None:
        """I2: `[1, "a"]` is a list, and no list[int]."""
        session["key"] = [1, "a"]
        with pytest.raises(WrongType) as caught:
            session.get_as("key", type_)
        assert str(caught.value).startswith(f"session['key'] is not of type {type_}: ")

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
