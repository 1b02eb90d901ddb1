"""The Cookie header as clients send it, and the Set-Cookie header as we write it."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from webob.cookies import RequestCookies

from myapp.environment import SettingError
from myapp.sessions.core.loading import MAX_TOKENS
from myapp.sessions.core.settings import SessionSettings, read_session_settings
from myapp.sessions.core.token import new_token
from myapp.sessions.web import cookie
from myapp.sessions.web.cookie import delete_cookie, set_cookie, was_sent
from myapp.sessions.web.shield import shield

A, B, C, D = ("A" * 43, "B" * 43, "C" * 43, "D" * 43)


def environ_of(header: str, name: str = "session") -> dict[str, Any]:
    """The environ that the application gets for a Cookie header, behind the shield."""
    environ = {"HTTP_COOKIE": header}
    shield(environ, [name])
    assert environ.keys() == {"HTTP_COOKIE"}
    return environ


def tokens_in(header: str, name: str = "session") -> Sequence[str]:
    """What we find in a header, which is the same with and without the shield."""
    found = cookie.tokens_in(environ_of(header, name), name)
    assert found == cookie.tokens_in({"HTTP_COOKIE": header}, name)
    return found


def webob_sees(header: str) -> dict[str, str]:
    """All cookies as `request.cookies` has them, without our shield."""
    return dict(RequestCookies({"HTTP_COOKIE": header}))


def shielded(header: str) -> dict[str, str]:
    """All cookies as `request.cookies` has them, behind our shield."""
    return webob_sees(environ_of(header)["HTTP_COOKIE"])


class TestReading:
    """Our own tokens, whatever stands around them."""

    @pytest.mark.parametrize(
        "header",
        [
            f"session={A}",
            f"session={A};",
            f"; session={A}",
            f"a=b; session={A}",
            f"a=b;session={A};c=d",
            f"a=b;   session={A}   ; c=d",
            f"a=b;\tsession={A}\t; c=d",
            f"session= {A}",
            f'session="{A}"',
            f'a=b; session="{A}" ; c="d"',
            f"session=; session={A}; session=x",
            f"a; session={A}; =; ==; c",
            f'x="; session={A}',
            f'x="\\"; session={A}; y="',
            f'x="\\377"; session={A}',
            f"x=\xff\xfe; session={A}; \xff",
            f"x={{'a': [1, 2]}}, b=c; session={A}",
            f"x=session; session={A}; session",
        ],
    )
    def test_a_token_is_found_beside_anything(self, header: str) -> None:
        """L6: a broken neighbour does not hurt, nor do quotes and spaces."""
        assert tokens_in(header) == (A,)

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "session",
            "session=",
            "session=x",
            f"session={A[1:]}",
            f"session={A}A",
            f"session={A}=",
            f"session={A[1:]}é",
            f"session={A} {A}",
            f"session={A}\n",
            f"session={A}\x00",
            f"session={A[:20]}%41{A[23:]}",
            f"session={A[:20]};{A[20:]}",
            f'session="{A[:20]}" "{A[20:]}"',
        ],
    )
    def test_a_malformed_token_does_not_count(self, header: str) -> None:
        """L3: it never reaches the database, in part as little as whole."""
        assert tokens_in(header) == ()
        assert tokens_in(f"{header}; session={B}") == (B,)

    @pytest.mark.parametrize(
        "header",
        [
            f"xsession={A}",
            f"session2={A}",
            f"x-session={A}",
            f"Session={A}",
            f"SESSION={A}",
            f"x session={A}",
            f"x=session={A}",
            f"x=1 session={A}",
            f'"session={A}"',
            f"__Host-session={A}",
            f"session[]={A}",
        ],
    )
    def test_another_name_is_another_cookie(self, header: str) -> None:
        """L5: one that holds ours, or differs in case; and it does not hide ours."""
        assert tokens_in(header) == ()
        assert not was_sent(environ_of(header), "session")
        assert tokens_in(f"{header}; session={B}") == (B,)
        assert tokens_in(f"session={B}; {header}") == (B,)

    @pytest.mark.parametrize("name", ["a.b", "a+b", "a|b", "^$", "*", "__Host-session_x1", "a"])
    def test_a_name_means_itself(self, name: str) -> None:
        """L5: its characters have no meaning of their own."""
        assert tokens_in(f"{name}={A}", name) == (A,)
        assert tokens_in(f"axb={A}", name) == ()

    def test_a_request_without_cookies_has_no_token(self) -> None:
        """L1: nor does the shield touch it."""
        environ: dict[str, Any] = {}
        shield(environ, ["session"])
        assert environ == {}
        assert cookie.tokens_in(environ, "session") == ()
        assert not was_sent(environ, "session")

    @pytest.mark.parametrize(
        ("header", "sent"),
        [
            ("session=x", True),
            ("session=", True),
            ("a=b;  session=", True),
            (f"session={A}", True),
            ("session", False),
            ("a=session=b", False),
            ("a=b", False),
        ],
    )
    def test_a_malformed_cookie_was_sent_all_the_same(self, header: str, sent: bool) -> None:
        """L3: there is something to delete."""
        assert was_sent(environ_of(header), "session") is sent


PAIRS = [
    *(f"session={token}" for token in (A, B, D)),
    f'session="{C}"',
    f" session={A} ",
    f"xsession={D}",
    f"x=session={D}",
    *("session=x", "session", "a=b", "", 'x="'),
]


class TestJoinedLines:
    """Two Cookie lines, which servers join: waitress and gunicorn by a comma, granian by `;`."""

    @pytest.mark.parametrize("joint", [", ", ",", ";", "; "])
    def test_ours_and_its_neighbours_are_found_in_either_order(self, joint: str) -> None:
        """L6: a token can't hold a comma; WebOb reads each cookie behind the shield."""
        lines = ["a=1; b=2", f"c=3; session={A}", f"session={A}; d=4", "e=5"]
        for order in itertools.permutations(lines):
            header = joint.join(order)
            assert tokens_in(header) == (A,)
            assert was_sent(environ_of(header), "session")
            read = shielded(header)
            assert read.pop("session") == A
            assert read == {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}

    def test_a_comma_in_a_neighbour_joins_nothing(self) -> None:
        """L6: lists, JSON, texts in quotes and dates stay one cookie."""
        header = f'ids=1,2; j={{"a":1,"b":2}}; q="x, y=z"; session={A}'
        assert shielded(header) == webob_sees(header)

    def test_behind_a_comma_a_protected_name_is_none(self) -> None:
        """L5: any host of the domain may set `x=1,__Host-session=…`; browsers check its name, x."""
        for name in ("__Host-session", "__Secure-s", "__host-http-s", "__HTTP-s"):
            planted = f"x=1, {name}={A}"
            assert tokens_in(planted, name) == ()
            assert not was_sent(environ_of(planted, name), name)
            assert shielded(planted) == {"x": "1"}
            assert tokens_in(f"{name}={B}, x=1; y=2,{name}={A}", name) == (B,)


class TestSeveralTokens:
    """Cookies of one name, of several paths, domains and partitions."""

    def test_up_to_32_are_found_in_any_order(self) -> None:
        """L5: the same ones, whatever the order, and whatever else is in the header."""
        many = [new_token() for _ in range(MAX_TOKENS)]
        pairs = [f"session={token}" for token in many]
        for header in ("; ".join(pairs), "; ".join(pairs[::-1]), 'x="\\377"; ' + ";".join(pairs)):
            assert sorted(tokens_in(header)) == sorted(many)

    def test_of_more_it_is_told_that_they_are_too_many(self) -> None:
        """L5: wherever they stand, behind the shield too, and however many."""
        for count in (MAX_TOKENS + 1, 4000):
            pairs = [f"session={new_token()}" for _ in range(count)]
            for header in ("; ".join(pairs), ";".join(pairs)):
                assert len(tokens_in(header)) == MAX_TOKENS + 1

    def test_equal_tokens_count_once(self) -> None:
        """L5: partitioned and unpartitioned twins in Safari (pretix #6019), and a thousand more."""
        assert tokens_in(f"session={A}; session={A}") == (A,)
        assert tokens_in("; ".join([f"session={A}; session={B}"] * 1000)) == (A, B)
        assert tokens_in(",".join([f"session={A},session={B}"] * 1000)) == (A, B)

    def test_malformed_ones_do_not_count_however_many(self) -> None:
        """L5: neither in front of a good one nor behind it."""
        bad = "; ".join(["session=x", f"xsession={B}", "session="] * 500)
        assert tokens_in(f"{bad}; session={A}") == (A,)
        assert tokens_in(f"session={A}; {bad}") == (A,)
        assert tokens_in("x=" + "session=" * 500 + f"; session={A}") == (A,)

    @given(
        st.lists(st.sampled_from(PAIRS), max_size=12).flatmap(
            lambda pairs: st.tuples(st.just(pairs), st.permutations(pairs))
        )
    )
    def test_the_order_never_matters(self, orders: tuple[list[str], list[str]]) -> None:
        """L5: nor do the neighbours."""
        one, other = (tokens_in("; ".join(pairs)) for pairs in orders)
        assert sorted(one) == sorted(other)


# What cookies are made of, and what breaks parsers.
NAMES = ["session=", "session", "a=b", "x=", "a", "$Version=1"]
VALUES = [r"\"", r"\\", r"\377", r"\303", r"\251", r"\012", r"\400", "01-Jan-2024", A, B]
BREAKERS = list('";=\\, \t\r\n\x00\x7f\xc3\xa9\xff[{…\ud800')
fragments = st.sampled_from([*NAMES, *VALUES, *BREAKERS, "Mon, 01-Jan-2024 00:00:00 GMT"])
nasty = st.one_of(st.text(), st.lists(fragments, max_size=30).map("".join))


class TestAnyHeader:
    """Nothing that a client sends raises."""

    @given(nasty)
    @example('x="\\377"')
    @example('x="\\303\\" \\251"')
    @example("\xff")
    @hypothesis(max_examples=1000)
    def test_nothing_ever_raises(self, header: str) -> None:
        """L6: neither here nor in WebOb behind the shield, which raises on `x="\\377"` without."""
        environ = environ_of(header)
        assert len(cookie.tokens_in(environ, "session")) <= MAX_TOKENS + 1
        was_sent(environ, "session")
        for name, value in RequestCookies(environ).items():
            assert name + value == (name + value).encode().decode()

    @given(nasty)
    @hypothesis(max_examples=500)
    def test_the_shield_leaves_alone_what_it_mended(self, header: str) -> None:
        """L6: a second application behind the first one sees the same cookies."""
        once = environ_of(header)["HTTP_COOKIE"]
        assert environ_of(once)["HTTP_COOKIE"] == once

    @given(nasty, nasty)
    @hypothesis(max_examples=500)
    def test_ours_is_read_the_same_with_and_without_the_shield(self, front: str, back: str) -> None:
        """L6: the shield mends what is others', and leaves ours readable."""
        for between in (";", ","):
            assert A in tokens_in(between.join([front, f"session={A}", back]))

    @given(nasty, nasty)
    @example("session=" + A, " x")
    @example('x="a,session=' + A + '"', "z")
    @hypothesis(max_examples=500)
    def test_the_shield_makes_no_token_of_what_was_none(self, front: str, back: str) -> None:
        """L3: what is malformed stays so, though the rest of its pair is left out."""
        for between in ("", " ", ";", ","):
            tokens_in(front + between + back)

    def test_webob_alone_raises(self) -> None:
        """L6: what the shield is for; when this fails, the shield may not be needed any more."""
        with pytest.raises(UnicodeDecodeError):
            webob_sees('x="\\377"')


def by_webob(text: str) -> str:
    """A cookie value in quotes as WebOb's own `set_cookie` writes it."""
    plain = "!#$%&'()*+-./:<=>?@[]^_`{|}~ "
    written = [
        char if char in plain or (char.isascii() and char.isalnum()) else f"\\{byte:03o}"
        for char in text
        for byte in char.encode()
        if not (char in plain or (char.isascii() and char.isalnum())) or char.isascii()
    ]
    return '"' + "".join(written) + '"'


def by_http_cookies(text: str) -> str:
    """A cookie value in quotes as Python's `http.cookies` writes it, and with it Django."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


names = st.from_regex(r"[A-Za-z_.|~^!#%&'*+`-][A-Za-z0-9_.|~^!#$%&'*+`-]{0,12}", fullmatch=True)
written_by_javascript = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc XYZ_.:/?&-", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)
ordinary_values = st.one_of(
    st.text("abcXYZ019~!@#$%^&*()_+=-`.?|:/{}<>'", max_size=20),
    st.binary(max_size=20).map(bytes.hex),
    written_by_javascript.map(lambda value: json.dumps(value, separators=(",", ":"))),
    st.lists(st.text("abc019", min_size=1), max_size=4).map(",".join),
    st.text("abc \\\"';,é…\U0001f600\n=[]{}", max_size=12).map(by_webob),
    st.text("abc \"',=[]{}()019", max_size=12).map(by_http_cookies),
    st.text("abc é…\U0001f600=", max_size=12).map(lambda t: f'"{t.encode().decode("latin-1")}"'),
    st.datetimes().map(lambda when: f"Mon, {when:%d}-Jan-2024 {when:%H:%M:%S} GMT"),
)
ordinary_headers = st.lists(st.tuples(names, ordinary_values), max_size=6).flatmap(
    lambda pairs: st.sampled_from(["; ", ";", ";  "]).map(
        lambda separator: separator.join(f"{name}={value}" for name, value in pairs)
    )
)


class TestOtherPeoplesCookies:
    """What the rest of the application reads through the shield."""

    @given(ordinary_headers)
    @example('prefs={"a":1,"b":[true,null]}; x=1')
    @example("ids=1,2,3; x=1")
    @example('name="Zo\\303\\253"; x=1')
    @example('name="Zo\xc3\xab"; x=1')
    @example('said="\\"hello\\""; x=1')
    @example('path="C:\\134"; x=1')
    @example("since=Mon, 01-Jan-2024 00:00:00 GMT; x=1")
    @example("a==b; c=")
    @hypothesis(max_examples=400)
    def test_ordinary_cookies_are_what_they_were(self, header: str) -> None:
        """L6: JSON, lists, quotes, octal escapes and raw UTF-8, as without the shield."""
        assert shielded(header) == webob_sees(header)

    @given(st.lists(st.tuples(names, st.text("abc019.=/-", max_size=20)), max_size=6))
    def test_a_plain_header_is_not_even_copied(self, pairs: list[tuple[str, str]]) -> None:
        """L6: nearly all requests pay one regular expression."""
        environ = {"HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in pairs)}
        before = dict(environ)
        shield(environ, ["session"])
        assert environ == before

    @pytest.mark.parametrize(
        ("header", "left"),
        [
            ('a=1; x="\\377"; b=2', {"a": "1", "b": "2"}),
            ('a=1; x="\\303"; b="\\251"', {"a": "1"}),
            ('a=1; x="\xff"; b=2', {"a": "1", "b": "2"}),
            ("a=1; " + "x" * 9000 + "; b=2", {"a": "1", "b": "2"}),
            ("a=1; =; ==; ;; b=2", {"a": "1", "b": "2"}),
            ('x="a\\\\"; y="b"', {"x": "a\\", "y": "b"}),
            ('x="\\"; y="; z=1', {"x": "", "y": "", "z": "1"}),
            ('x={"a":"b=c"}; y=1', {"x": "{", "y": "1"}),
        ],
    )
    def test_a_broken_neighbour_is_dropped_alone(self, header: str, left: dict[str, str]) -> None:
        """L6: and nothing inside a value is taken for a cookie."""
        assert shielded(header) == left

    def test_of_an_oversized_header_only_whole_pairs_are_left(self) -> None:
        """L6: the last one is not cut in two, as half a value may mean something else."""
        pairs = {f"name{n}": f"{n:050}" for n in range(1000)}
        left = shielded("; ".join(f"{name}={value}" for name, value in pairs.items()))
        assert 200 < len(left) < 1000
        assert left.items() < pairs.items()
        assert shielded("x=" + "a" * 100_000) == {}

    def test_of_ours_nothing_is_cut_off(self) -> None:
        """L6: however long the header, and of each manager; what stays is short for WebOb."""
        names = ["session", "admin_session"]
        others = "; ".join(f"name{n}={n:050}" for n in range(4000))
        header = f"admin_session={B}; {others}; session={A}; {others}"
        environ = {"HTTP_COOKIE": header}
        shield(environ, names)
        assert [cookie.tokens_in(environ, name) for name in names] == [(A,), (B,)]
        assert 16_000 < len(environ["HTTP_COOKIE"]) <= 16 * 1024
        once = dict(environ)
        shield(environ, names)
        assert environ == once


UNITS = {
    "semicolons": ";",
    "letters": "a",
    "our name": "session=",
    "our name in pairs": ";session=",
    "our name in pairs, spaced": "; session= ",
    "other people's tokens": f"; xsession={B}",
    "one of our tokens": f"; session={A}",
    "misplaced tokens": f"x session={B};",
    "pairs": "; a=b",
    "quotes": '="',
    "spaces": " ",
    "tabs": "\t",
    "separators": "; ",
    "open quotes": '; "',
    "backslashes": "\\",
    "high bytes": "\xff",
    "octal escapes": "\\377",
    "quoted pairs": 'x="',
    "escaped quotes": '\\"',
    "quoted backslashes": 'x="\\\\"; ',
    "quoted UTF-8": 'x="\\303\\251"; ',
    "equals signs": "=",
    "names without end": "a ",
    "dates": "x=Mon, ",
    "control characters": "\x00",
    "commas": "a=b,",
}
# Beginnings after which WebOb would search a long rest again and again.
BEGINNINGS = ["", 'x="', 'x="\\\\"; y="', "x=\\", 'x="\\\\"; y=']


def cost(work: Callable[[], object]) -> float:
    """The seconds that this thread works, the least of several runs; little counts as 3 ms."""
    best = math.inf
    for _ in range(3):
        start = time.thread_time()
        work()
        best = min(best, time.thread_time() - start)
    return max(best, 0.003)


def is_linear(once: str, four_times: str) -> bool:
    """Whether a header of four times the length costs less than eight times as much."""
    # A machine that is busy may be slow at the wrong moment, and hardly so three times.
    return any(cost(everything(four_times)) < 8 * cost(everything(once)) for _ in range(3))


def everything(header: str) -> Callable[[], object]:
    """All that a request does with its Cookie header: ours, and one look at `request.cookies`."""

    def work() -> object:
        environ = environ_of(header)
        dict(RequestCookies(environ))
        return cookie.tokens_in(environ, "session"), was_sent(environ, "session")

    return work


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
class TestJunk:
    """Headers made to be expensive; servers let 256 kB of them pass."""

    def test_four_times_the_junk_costs_about_four_times_as_much(self, unit: str) -> None:
        """L6: below the length at which the shield cuts; the whole of it is for WebOb to read."""
        for beginning, end in itertools.product(BEGINNINGS, ["", '"', f"; session={A}"]):
            headers = [beginning + unit * (size // len(unit)) + end for size in (3900, 15600)]
            assert is_linear(*headers)

    def test_a_quarter_megabyte_costs_about_four_times_64_kilobytes(self, unit: str) -> None:
        """L6: linear time for what the shield cuts, and what we look for ours in."""
        for end in ("", f"; session={A}"):
            headers = [unit * (size * 1024 // len(unit)) + end for size in (64, 256)]
            assert is_linear(*headers)

    def test_ours_is_found_in_front_and_behind(self, unit: str) -> None:
        """L6: whatever stands beside it, and however much."""
        junk = unit * (256 * 1024 // len(unit))
        assert tokens_in(f"session={A};{junk}") == (A,)
        assert tokens_in(f"{junk};session={A}") in {(A,), (B, A)}
        assert tokens_in(f'x="\\377{junk};session={A}; y="\\377"') == (A,)


def settings_of(**given: Any) -> SessionSettings:
    """Settings by their short names, without `cookie_`."""
    return read_session_settings({f"session.cookie_{k}": v for k, v in given.items()}, {})


# Each attribute with each of its values; hypothesis puts others together.
COMBINATIONS = [
    dict(zip(("secure", "httponly", "partitioned", "samesite", "path", "domain"), row, strict=True))
    for row in (
        (True, True, False, "lax", "/", ""),
        (True, False, True, "none", "/app", "example.com"),
        (True, True, True, "strict", "/", ""),
        (False, True, False, "strict", "/app", ""),
        (False, False, False, "lax", "/", "example.com"),
    )
]


ATTRIBUTES = st.fixed_dictionaries(
    {
        "secure": st.booleans(),
        "httponly": st.booleans(),
        "partitioned": st.booleans(),
        "samesite": st.sampled_from(["lax", "strict", "none"]),
        "path": st.sampled_from(["/", "/app"]),
        "domain": st.sampled_from(["", "example.com"]),
    }
).filter(lambda it: it["secure"] or not (it["partitioned"] or it["samesite"] == "none"))


class TestWriting:
    """The Set-Cookie header."""

    @pytest.mark.parametrize(
        ("given", "max_age", "header"),
        [
            ({}, 604800, f"session={A}; Path=/; Max-Age=604800; Secure; HttpOnly; SameSite=Lax"),
            ({}, None, f"session={A}; Path=/; Secure; HttpOnly; SameSite=Lax"),
            ({}, 0, f"session={A}; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"),
            (
                {"name": "__Host-sid"},
                60,
                f"__Host-sid={A}; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax",
            ),
            (
                {"secure": False, "httponly": False, "samesite": "Strict"},
                None,
                f"session={A}; Path=/; SameSite=Strict",
            ),
            (
                {"samesite": "none", "partitioned": True, "path": "/a b", "domain": "example.com"},
                60,
                f"session={A}; Domain=example.com; Path=/a b; Max-Age=60; Secure; HttpOnly;"
                " SameSite=None; Partitioned",
            ),
        ],
    )
    def test_the_header_in_full(
        self, given: dict[str, Any], max_age: int | None, header: str
    ) -> None:
        """ASVS 3.3.4: name, token and attributes, to the letter."""
        assert set_cookie(settings_of(**given), A, max_age) == header

    @pytest.mark.parametrize("given", COMBINATIONS, ids=str)
    @pytest.mark.parametrize("max_age", [None, 3600])
    def test_every_combination_says_what_is_set(
        self, given: dict[str, Any], max_age: int | None
    ) -> None:
        """C3: each attribute once, and none that was not asked for."""
        said = [
            f"Domain={given['domain']}" if given["domain"] else "",
            f"Path={given['path']}",
            "" if max_age is None else "Max-Age=3600",
            "Secure" if given["secure"] else "",
            "HttpOnly" if given["httponly"] else "",
            f"SameSite={given['samesite'].title()}",
            "Partitioned" if given["partitioned"] else "",
        ]
        header = set_cookie(settings_of(**given), A, max_age)
        assert header.split("; ") == [f"session={A}", *filter(None, said)]

    @pytest.mark.parametrize("given", COMBINATIONS, ids=str)
    def test_the_deletion_has_the_attributes_of_the_cookie(self, given: dict[str, Any]) -> None:
        """R2: a browser keeps a cookie that is deleted with other ones."""
        pair, *attributes = set_cookie(settings_of(**given), A, None).split("; ")
        empty, *deleting = delete_cookie(settings_of(**given)).split("; ")
        assert (pair, empty) == (f"session={A}", "session=")
        assert set(deleting) - set(attributes) == {
            "Max-Age=0",
            "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        }
        assert set(attributes) < set(deleting)

    @pytest.mark.parametrize("name", ["__Host-sid", "__Secure-sid", "__host-sid"])
    def test_the_deletion_of_a_prefixed_cookie_has_secure(self, name: str) -> None:
        """R2: Django #28989: without Secure the browser refuses the deletion."""
        assert delete_cookie(settings_of(name=name)) == (
            f"{name}=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT;"
            " Secure; HttpOnly; SameSite=Lax"
        )

    @given(
        st.from_regex(r"[!#%&'*+.^_`|~0-9A-Za-z-]{1,100}", fullmatch=True).filter(
            lambda name: not Morsel().isReservedKey(name)
        ),
        ATTRIBUTES,
        st.none() | st.integers(0, 400 * 86400),
    )
    def test_the_standard_library_reads_every_header(
        self, name: str, given: dict[str, Any], max_age: int | None
    ) -> None:
        """ASVS 3.3.5: and name and value stay below 4096 bytes."""
        if name.lower().startswith("__"):
            given = given | {"secure": True, "httponly": True, "path": "/", "domain": ""}
        made = settings_of(name=name, **given)
        token = new_token()
        for header, value, age in (
            (set_cookie(made, token, max_age), token, "" if max_age is None else str(max_age)),
            (delete_cookie(made), "", "0"),
        ):
            assert len(header.partition(";")[0].encode("ascii")) < 4096
            # Python learns of Partitioned in 3.14.
            known = header if "partitioned" in Morsel() else header.replace("; Partitioned", "")
            ((key, morsel),) = SimpleCookie(known).items()
            assert (key, morsel.value, morsel["max-age"]) == (name, value, age)
            assert (morsel["path"], morsel["domain"]) == (given["path"], given["domain"])
            assert (bool(morsel["secure"]), bool(morsel["httponly"])) == (
                given["secure"],
                given["httponly"],
            )
            assert morsel["samesite"] == given["samesite"].title()

    def test_what_is_written_is_read(self) -> None:
        """L3: a browser sends back what stands before the first semicolon."""
        for name in ("session", "__Host-session_a1b2c3d4", "a.b+c"):
            token = new_token()
            pair = set_cookie(settings_of(name=name), token, 60).partition(";")[0]
            assert tokens_in(f"x=1; {pair}; y=2", name) == (token,)

    @pytest.mark.parametrize("attribute", ["name", "path", "domain", "samesite"])
    def test_no_control_character_gets_into_a_header(self, attribute: str) -> None:
        """C3: response splitting (CR, LF) and attribute injection (`;`) stop the start."""
        for char in ("\0", "\t", "\n", "\r", "\x0b", "\x7f", "\x85", "é", "\u2028", ";"):
            for text in (f"a{char}a", f"/{char}a"):
                with pytest.raises(SettingError):
                    settings_of(**{attribute: text})

    @pytest.mark.parametrize("char", ["\0", "\x0b", "\x7f", "\x85", "\u2028", ";"])
    def test_nor_from_around_a_value(self, char: str) -> None:
        """C2, C3: only blanks, tabs and the ends of lines do not count there."""
        for value in (char, f"a{char}", f"{char}a"):
            with pytest.raises(SettingError):
                settings_of(name=value)

    @given(st.sampled_from(["name", "path", "domain", "samesite"]), st.text(max_size=8))
    def test_a_header_is_printable_ascii_whatever_the_settings(
        self, attribute: str, text: str
    ) -> None:
        """C3: else the setting is refused."""
        try:
            made = settings_of(**{attribute: f"/{text}" if attribute == "path" else text})
        except SettingError:
            return
        for header in (set_cookie(made, A, 60), delete_cookie(made)):
            assert header.isascii()
            assert header.isprintable()
