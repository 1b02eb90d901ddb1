"""Settings that can't be used stop the start with one line that says which, whence and why."""

import itertools
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.session import SignedCookieSessionFactory

import myapp
from harness.processes import ROOT, clean_environment
from myapp import environment
from myapp.environment import COMMAND_LINE, SettingError, printable, variable_for
from myapp.sessions.core import settings as session_settings
from myapp.sessions.core.settings import (
    TABLE,
    SessionSettings,
    parse_duration,
    parse_size,
    read_session_settings,
)
from myapp.settings import TABLE as APPLICATION
from myapp.settings import read_application_settings
from tests.needed import NEEDED
from tests.sessions.app import create_table

SOURCES = ("ini", "environment", "command line")
PREFIXES = ("session.", "admin_session.")

# Every value is tried from one place and under one prefix, which take turns: that all of them are
# read alike is proved with good values.
TURNS = list(itertools.product(SOURCES, PREFIXES))

DURATION = "a duration such as 1w, 7d, 3h, 20m, 90s or 1h30m, at most 400 days"
BOOL = "true or false"
DOTTED = "a dotted name such as package.module:name, or empty"
IN_MEMORY = "expected a file, not in-memory SQLite: sqlite:////path/to/file"

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True)
class Given:
    """Settings that all come from one place."""

    source: str
    settings: dict[str, Any]
    environ: dict[str, str]

    def words(self, key: str) -> str:
        """What a message says about where a value came from."""
        return {
            "ini": "[app:main] of some.ini",
            "environment": f"environment variable {variable_for(key)}",
            "command line": COMMAND_LINE,
        }[self.source]


def given(source: str, values: Mapping[str, str]) -> Given:
    """The values as the application sees them, after `main` has merged what pserve hands it."""
    ini: Mapping[str, str] = values if source == "ini" else {}
    typed = {key: value.replace("%", "%%") for key, value in values.items()}
    line = typed if source == "command line" else {}
    environ = {variable_for(key): value for key, value in values.items()}
    return Given(
        source,
        environment.merge(ini, {"__file__": "/etc/some.ini", **line}),
        environ if source == "environment" else {},
    )


def read_given(source: str, prefix: str, values: Mapping[str, str]) -> SessionSettings:
    """The settings of one manager, whose values all come from one place."""
    found = given(source, {prefix + key: value for key, value in values.items()})
    return read_session_settings(
        found.settings, found.environ, name=prefix.rstrip("."), prefix=prefix
    )


def refusal(source: str, prefix: str, values: Mapping[str, str]) -> str:
    """The message that such settings lead to."""
    with pytest.raises(SettingError) as caught:
        read_given(source, prefix, values)
    return str(caught.value)


def in_turn(cases: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Each case with the next source and prefix."""
    return [(*case, *turn) for case, turn in zip(cases, itertools.cycle(TURNS))]


def words(source: str, key: str) -> str:
    """What a message says about the source of a key."""
    return given(source, {}).words(key)


# C1: durations, sizes, numbers.


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1w", 7 * DAY),
        ("7d", 7 * DAY),
        ("3h", 3 * HOUR),
        ("20m", 20 * MINUTE),
        ("90s", 90 * SECOND),
        ("1h30m", 90 * MINUTE),
        ("1w2d3h4m5s", 9 * DAY + 3 * HOUR + 4 * MINUTE + 5 * SECOND),
        ("90", 90 * SECOND),
        ("0h1s", SECOND),
        ("007s", 7 * SECOND),
        ("400d", 400 * DAY),
        ("34560000", 400 * DAY),
    ],
)
def test_a_duration_is_understood(text: str, milliseconds: int) -> None:
    """C1: units in any number, or whole seconds."""
    assert parse_duration(text) == milliseconds


BAD_DURATIONS = {
    "empty": "",
    "blank": " ",
    "zero": "0",
    "zero weeks": "0w",
    "zeros": "0h0m0s",
    "negative": "-1",
    "negative hours": "-1h",
    "signed": "+1h",
    "too long": "34560001",
    "a second too long": "400d1s",
    "overflow": "9" * 31 + "w",
    "over-long": "1s" * 17,
    "over-long zeros": "0" * 32 + "1",
    "Arabic digits": "\u0661\u0662h",
    "fullwidth digits": "\uff11h",
    "superscript": "\u00b2h",
    "fraction": "1.5h",
    "exponent": "1e3",
    "underscore": "1_000",
    "capital": "1H",
    "unknown unit": "1y",
    "milliseconds": "100ms",
    "unit first": "h1",
    "unit alone": "h",
    "rest": "1h30",
    "space": "1 h",
    "space before": " 1h",
    "newline after": "1h\n",
    "comma": "1h,30m",
    "hexadecimal": "0x10",
    "word": "forever",
    "off": "off",
}


@pytest.mark.parametrize("text", BAD_DURATIONS.values(), ids=BAD_DURATIONS.keys())
def test_anything_else_is_no_duration(text: str) -> None:
    """C1: refused, never guessed."""
    with pytest.raises(ValueError, match=r"^(not a duration|out of range)$"):
        parse_duration(text)


@pytest.mark.parametrize("parse", [parse_duration, parse_size])
@pytest.mark.parametrize("piece", ["9", "1h", "1w2d", " ", "h", "\u0661", "1h "])
def test_a_long_text_is_refused_in_linear_time(parse: Callable[[str], int], piece: str) -> None:
    """C1: 100 kB take no noticeable time, which a quadratic pattern would."""
    text = piece * (100_000 // len(piece))
    # Of this thread alone, however busy the machine.
    began = time.thread_time()
    with pytest.raises(ValueError, match=r"^not a"):
        parse(text)
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500", 500),
        ("1B", 1),
        ("64 KiB", 65_536),
        ("64KiB", 65_536),
        ("1 MiB", 1_048_576),
        ("16777215", 16_777_215),
    ],
)
def test_a_size_is_understood(text: str, size: int) -> None:
    """C: bytes, KiB or MiB."""
    assert parse_size(text) == size


BAD_SIZES = (
    *("", "0", "0 KiB", "-1", "+1", "1.5 MiB", "64  KiB", "64 kib", "64 KB", "64K", "KiB"),
    *("\u0661", "16 MiB", "16777216", "9" * 32, "9" * 33, "1\n", "off"),
)  # fmt: skip


@pytest.mark.parametrize("text", BAD_SIZES)
def test_anything_else_is_no_size(text: str) -> None:
    """C: the largest is what a MEDIUMBLOB holds."""
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


# What the settings become.


def test_without_any_setting_the_defaults_hold() -> None:
    """C: the table of the contract."""
    found = read_session_settings({}, {})
    assert found == SessionSettings(
        name="session",
        prefix="session.",
        url=None,
        table="sessions",
        pooler="auto",
        join=True,
        cookie_name="session",
        lifetime=7 * DAY,
        idle_timeout=None,
        touch_interval=MINUTE,
        anonymous_lifetime=7 * DAY,
        max_per_user=None,
        max_size=65_536,
        cookie_secure=True,
        cookie_httponly=True,
        cookie_persist=True,
        cookie_partitioned=False,
        cookie_samesite="lax",
        cookie_path="/",
        cookie_domain=None,
        record_client="full",
        csrf="visitors_by_origin",
        sweep_interval=5 * MINUTE,
        connect_timeout=3 * SECOND,
        statement_timeout=5 * SECOND,
        store=None,
        serializer=None,
        reading=found.reading,
    )


# Each with a value that is not the default, and what it becomes.
GOOD: dict[str, tuple[str, object]] = {
    "cookie_name": ("__Host-a!#$%&'*+-.^_`|~Z9", "__Host-a!#$%&'*+-.^_`|~Z9"),
    "lifetime": ("12h", 12 * HOUR),
    "idle_timeout": ("30m", 30 * MINUTE),
    "touch_interval": ("90", 90 * SECOND),
    "anonymous_lifetime": ("2h", 2 * HOUR),
    "max_per_user": ("999999", 999_999),
    "max_size": ("1 MiB", 1_048_576),
    "cookie_secure": ("No", False),
    "cookie_httponly": ("off", False),
    "cookie_persist": ("0", False),
    "cookie_partitioned": ("TRUE", True),
    "cookie_samesite": ("Strict", "strict"),
    "cookie_path": ("/a b", "/a b"),
    "cookie_domain": (".Example-1.com", ".Example-1.com"),
    "record_client": ("Shortened", "shortened"),
    "csrf": ("Token", "token"),
    "url": ("sqlite:////p%40ss", "sqlite:////p%40ss"),
    "table": ("Shop-2.web_Sessions", "Shop-2.web_Sessions"),
    "pooler": ("Transaction", "transaction"),
    "join": ("false", False),
    "sweep_interval": ("off", None),
    "connect_timeout": ("1s", SECOND),
    "statement_timeout": ("1m", MINUTE),
    "store": ("package.module:Store", "package.module:Store"),
    "serializer": ("package.module.Serializer", "package.module.Serializer"),
}
# What a value needs beside it.
BESIDE = {"touch_interval": {"idle_timeout": "30m"}}


def test_every_setting_is_tried() -> None:
    """C4: a new row of the table needs a row in the tests below, good and bad."""
    assert list(TABLE) == list(GOOD)
    assert set(TABLE) == {key for key, _, _ in BAD} | {"url"}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("key", "prefix"), list(zip(GOOD, itertools.cycle(PREFIXES))))
def test_a_setting_is_read_from_everywhere(key: str, source: str, prefix: str) -> None:
    """C: `session.lifetime` or SESSION_LIFETIME, and the same for every other manager."""
    text, meant = GOOD[key]
    extra = {"cookie_secure": "true"} if key == "cookie_partitioned" else {}
    found = read_given(source, prefix, {**BESIDE.get(key, {}), **extra, key: text})
    assert getattr(found, key) == meant
    assert (found.name, found.prefix) == (prefix.rstrip("."), prefix)


@pytest.mark.parametrize(
    ("idle_timeout", "touch_interval"),
    [("off", MINUTE), ("30m", MINUTE), ("10m", MINUTE), ("9m", 54 * SECOND), ("1s", 100)],
)
def test_the_touch_interval_follows_the_idle_timeout(
    idle_timeout: str, touch_interval: int
) -> None:
    """C: `1m`, or a tenth of the idle timeout if that is less."""
    found = read_session_settings({"session.idle_timeout": idle_timeout}, {})
    assert found.touch_interval == touch_interval


def test_the_anonymous_lifetime_is_the_lifetime() -> None:
    """C: where it is not given."""
    assert read_session_settings({"session.lifetime": "3h"}, {}).anonymous_lifetime == 3 * HOUR


@pytest.mark.parametrize("value", [True, "true"])
def test_values_given_in_python_count_as_well(value: object) -> None:
    """C: a foreign application may have booleans and numbers among its settings."""
    found = read_session_settings({"session.cookie_partitioned": value, "session.lifetime": 90}, {})
    assert (found.cookie_partitioned, found.lifetime) == (True, 90 * SECOND)


# C2: a bad value.

BAD = (
    *(("cookie_name", bad,
       "a cookie name of RFC 6265: up to 128 letters, digits and !#$%&'*+-.^_`|~")
      for bad in ("a b", "a=b", "a;b", "a,b", 'a"b', "a/b", "a\x00", "a\tb", "a\r\nb", "é", "[a]")),
    *(("lifetime", bad, DURATION) for bad in ("0", "-1", "401d", "1 h", "off", "\u0661h")),
    *(("idle_timeout", bad, f"{DURATION}, or off") for bad in ("0", "never", "OFF", "401d")),
    *(("touch_interval", bad, DURATION) for bad in ("0", "off", "1.5s")),
    *(("anonymous_lifetime", bad, DURATION) for bad in ("0s", "off", "soon")),
    *(("max_per_user", bad, "a number of sessions from 1 to 999999, or off")
      for bad in ("0", "-1", "1000000", "1.0", "ten", "\u0661", "000", "OFF")),
    *(("max_size", bad, "a size such as 4096, 64 KiB or 1 MiB, below 16 MiB")
      for bad in ("0", "16 MiB", "64 KB", "big", "-5")),
    *((f"cookie_{flag}", bad, BOOL)
      for flag in ("secure", "httponly", "persist", "partitioned") for bad in ("2", "maybe", "t")),
    *(("cookie_samesite", bad, "lax, strict or none") for bad in ("lax;", "no", "false")),
    *(("cookie_path", bad, "a path that begins with a slash, printable ASCII without a semicolon")
      for bad in ("a", "/a;b", "/a\r\nb", "/\x00", "/\x7f", "/é")),
    *(("cookie_domain", bad, "a domain name, or empty")
      for bad in ("a;b", "a b", "a..b", "a.", "..a", "a\r\nb", "a\x00", "a_b", "é.a", "a,b")),
    *(("record_client", bad, "full, shortened or none") for bad in ("all", "true", "some")),
    *(("csrf", bad, "visitors_by_origin or token") for bad in ("off", "true", "origin")),
    *(("table", bad, "a name of 1 to 51 letters (a-z, A-Z), digits, _ and -, or schema.name")
      for bad in ("a b", 'a"b', "a`b", "a.b.c", ".a", "a.", "a%b", "é", "a;b", "a" * 52)),
    *(("pooler", bad, "auto, none or transaction") for bad in ("pgbouncer", "true")),
    *(("join", bad, BOOL) for bad in ("2", "maybe")),
    *(("sweep_interval", bad, f"{DURATION}, or off") for bad in ("0", "never")),
    *(("connect_timeout", bad, DURATION) for bad in ("0", "off", "3 s")),
    *(("statement_timeout", bad, DURATION) for bad in ("0", "off", "500ms")),
    *(("store", bad, DOTTED) for bad in ("a-b", "1a", "a:b:c", "a b", "a;b", ":a", "a:")),
    *(("serializer", bad, DOTTED) for bad in ("a/b", "a()", "a:", "a\nb")),
)  # fmt: skip
BAD_IDS = [f"{key}={value[:12]!r}" for key, value, _ in BAD]


@pytest.mark.parametrize(
    ("key", "value", "expected", "source", "prefix"), in_turn(BAD), ids=BAD_IDS
)
def test_a_bad_value_is_refused_in_one_line(
    key: str, value: str, expected: str, source: str, prefix: str
) -> None:
    """C2: which setting, where it came from, the value and what was expected."""
    shown = value if value.isprintable() and value.strip() == value else repr(value)
    assert refusal(source, prefix, {key: value}) == (
        f"{prefix}{key} = {shown} (from {words(source, prefix + key)}): expected {expected}"
    )


@pytest.mark.parametrize(
    ("key", "source"),
    list(
        zip([key for key in TABLE if TABLE[key].default], itertools.cycle(["ini", "command line"]))
    ),
)
def test_an_empty_value_is_refused_where_it_means_nothing(key: str, source: str) -> None:
    """C2: only where empty is the default it is a value, and only a variable is then not set."""
    assert refusal(source, "session.", {key: ""}) == (
        f"session.{key} = '' (from {words(source, 'session.' + key)}):"
        f" expected {TABLE[key].expected}"
    )


@pytest.mark.parametrize("key", TABLE)
def test_an_empty_variable_is_no_value(key: str) -> None:
    """C: it counts as not set, whatever the setting."""
    assert read_given("environment", "session.", {key: ""}) == read_session_settings({}, {})


@pytest.mark.parametrize(
    ("key", "nearest", "source", "prefix"),
    [
        ("lifetim", "lifetime", "ini", "session."),
        ("cookie_samsite", "cookie_samesite", "command line", "session."),
        ("same_site", "cookie_samesite", "ini", "admin_session."),
        ("timeout", "idle_timeout", "command line", "admin_session."),
        ("cookie_secured", "cookie_secure", "ini", "session."),
        ("Lifetime", "lifetime", "ini", "session."),
        ("cookie.name", "cookie_name", "ini", "session."),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest(
    key: str, nearest: str, source: str, prefix: str
) -> None:
    """C2: a misspelt setting would otherwise be without effect."""
    assert refusal(source, prefix, {key: "1h"}) == (
        f"{prefix}{key} = 1h (from {words(source, prefix + key)}):"
        f" expected a known setting; the nearest is {prefix}{nearest}"
    )


def test_settings_of_others_are_left_alone() -> None:
    """C2: another manager's, Pyramid's, and what only begins alike."""
    others = ("admin_session.nonsense", "sessions.x", "session", "sessionlifetime", "pyramid.x")
    assert read_session_settings(dict.fromkeys(others, "x"), {}) == read_session_settings({}, {})


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SESSION_LIFETIM", "SESSION_LIFETIME"),
        ("SESSION_LIVETIME", "SESSION_LIFETIME"),
        ("SESSION_COOKIENAME", "SESSION_COOKIE_NAME"),
        ("SESSION_COOKIE_SAME_SITE", "SESSION_COOKIE_SAMESITE"),
        ("SESSION_IDLETIMEOUT", "SESSION_IDLE_TIMEOUT"),
    ],
)
def test_a_variable_close_to_a_known_one_is_warned_of(
    variable: str, meant: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """C2: it is no error, since tools have variables of their own."""
    start = "ADMIN_" if prefix.startswith("admin") else ""
    found = read_session_settings(
        {}, {start + variable: "1h"}, name=prefix.rstrip("."), prefix=prefix
    )
    assert found.lifetime == 7 * DAY
    assert caplog.messages == [
        f"environment variable {start}{variable} is unknown; did you mean {start}{meant}?"
    ]
    assert caplog.records[0].levelno == logging.WARNING


def test_variables_of_desktops_and_tools_are_not_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """C2: a warning at every start would soon be read by nobody."""
    others = ("SESSION_MANAGER", "SESSION_ID", "SESSIONNAME", "SESSION_SECRET", "XDG_SESSION_TYPE")
    known = ("SESSION_MAX_SIZE", "ADMIN_SESSION_LIFETIM")
    read_session_settings({}, dict.fromkeys(others, "x") | dict.fromkeys(known, "64 KiB"))
    assert not caplog.messages


def test_a_command_line_value_that_does_not_count_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """C2: with the variable that wins."""
    typed = given("command line", {"session.lifetime": "3h"})
    found = read_session_settings(typed.settings, {"SESSION_LIFETIME": "2h"})
    assert found.lifetime == 2 * HOUR
    assert caplog.messages == [
        "session.lifetime=3h on the command line is ignored: SESSION_LIFETIME is set"
    ]


# C3: impossible combinations.

IGNORED = "or browsers ignore such a cookie"
IMPOSSIBLE: tuple[tuple[dict[str, str], str, str], ...] = (
    ({"idle_timeout": "1w"}, "idle_timeout", "expected a duration shorter than {0}lifetime"),
    ({"lifetime": "1h", "idle_timeout": "60m"}, "idle_timeout",
     "expected a duration shorter than {0}lifetime"),
    ({"lifetime": "1h", "idle_timeout": "2h"}, "idle_timeout",
     "expected a duration shorter than {0}lifetime"),
    ({"idle_timeout": "1m", "touch_interval": "60s"}, "touch_interval",
     "expected a duration shorter than {0}idle_timeout"),
    ({"idle_timeout": "1m", "touch_interval": "2m"}, "touch_interval",
     "expected a duration shorter than {0}idle_timeout"),
    ({"anonymous_lifetime": "8d"}, "anonymous_lifetime",
     "expected a duration no longer than {0}lifetime"),
    ({"cookie_samesite": "None", "cookie_secure": "false"}, "cookie_samesite",
     "expected {0}cookie_secure = true with this value"),
    ({"cookie_partitioned": "true", "cookie_secure": "false"}, "cookie_partitioned",
     "expected {0}cookie_secure = true with this value"),
    *(({"cookie_name": f"{start}x", "cookie_secure": "false"}, "cookie_name",
       f"expected {{0}}cookie_secure = true, {IGNORED}")
      for start in ("__Host-", "__Secure-", "__Http-", "__Host-Http-",
                    "__host-", "__SECURE-", "__hTTp-", "__HOST-http-")),
    *(({"cookie_name": f"{start}x", "cookie_httponly": "false"}, "cookie_name",
       f"expected {{0}}cookie_httponly = true, {IGNORED}")
      for start in ("__Http-", "__Host-Http-", "__HTTP-", "__host-http-")),
    *(({"cookie_name": f"{start}x", "cookie_domain": "example.com"}, "cookie_name",
       f"expected an empty {{0}}cookie_domain, {IGNORED}")
      for start in ("__Host-", "__Host-Http-", "__HOST-", "__host-HTTP-")),
    *(({"cookie_name": f"{start}x", "cookie_path": "/app"}, "cookie_name",
       f"expected {{0}}cookie_path = /, {IGNORED}")
      for start in ("__Host-", "__Host-Http-", "__hosT-", "__hosT-httP-")),
)  # fmt: skip
IMPOSSIBLE_IDS = [" ".join(f"{k}={v}" for k, v in values.items()) for values, _, _ in IMPOSSIBLE]


@pytest.mark.parametrize(
    ("values", "key", "reason", "source", "prefix"), in_turn(IMPOSSIBLE), ids=IMPOSSIBLE_IDS
)
def test_an_impossible_combination_is_refused_in_one_line(
    values: dict[str, str], key: str, reason: str, source: str, prefix: str
) -> None:
    """C3: each value is fine, all together are not."""
    assert refusal(source, prefix, values) == (
        f"{prefix}{key} = {values[key]} (from {words(source, prefix + key)}):"
        f" {reason.format(prefix)}"
    )


@pytest.mark.parametrize(
    "values",
    [
        {"cookie_name": "__Host-x"},
        {"cookie_name": "__Host-Http-x"},
        {"cookie_name": "__Secure-x", "cookie_domain": "example.com", "cookie_path": "/app"},
        {"cookie_name": "__Secure-x", "cookie_httponly": "false"},
        {"cookie_name": "__Host-x", "cookie_httponly": "false"},
        {"cookie_name": "__Http-x", "cookie_domain": "example.com", "cookie_path": "/app"},
        {"cookie_name": "__Hostile", "cookie_secure": "false", "cookie_domain": "example.com"},
        {"cookie_name": "x__Host-", "cookie_secure": "false"},
        {"cookie_samesite": "none"},
        {"cookie_partitioned": "true"},
        {"lifetime": "1h", "idle_timeout": "59m", "touch_interval": "58m"},
        {"lifetime": "1h", "anonymous_lifetime": "1h"},
    ],
    ids=lambda values: " ".join(f"{k}={v}" for k, v in values.items()),
)
def test_a_possible_combination_is_taken(values: dict[str, str]) -> None:
    """C3: what browsers take is not refused."""
    assert read_given("ini", "session.", values)


def test_the_source_of_the_blamed_value_is_told() -> None:
    """C3: of values from two places, the one that is named."""
    settings = environment.merge({"session.cookie_name": "__Host-x"}, {"__file__": "some.ini"})
    with pytest.raises(SettingError) as caught:
        read_session_settings(settings, {"SESSION_COOKIE_SECURE": "false"})
    assert str(caught.value) == (
        "session.cookie_name = __Host-x (from [app:main] of some.ini):"
        " expected session.cookie_secure = true, or browsers ignore such a cookie"
    )


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "a\0b", "a" * 65, "é"])
def test_a_managers_name_is_a_plain_word(name: str) -> None:
    """L10: it is part of each digest, so nothing in it may be mistaken for something else."""
    with pytest.raises(ValueError, match="can't be a session manager's name"):
        read_session_settings({}, {}, name=name)


def refusals() -> list[str | None]:
    """The message of each bad value and each impossible combination."""
    cases: list[dict[str, str]] = [{key: value} for key, value, _ in BAD]
    cases += [values for values, _, _ in IMPOSSIBLE]
    cases += [{"lifetim": "1h"}]
    return [_message(case) for case in cases]


def _message(values: dict[str, str]) -> str | None:
    try:
        read_given("ini", "session.", values)
    except SettingError as error:
        return str(error)
    return None


def test_all_is_refused_under_optimization_too() -> None:
    """C3: no check is an assertion, which `python -O` leaves out."""
    script = (
        "import json, sys; from tests import test_settings;"
        "json.dump([not __debug__, test_settings.refusals()], sys.stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", script],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env=clean_environment(),
    )
    optimized, found = json.loads(done.stdout)
    assert optimized
    assert found == refusals()
    assert None not in found


# C3: what only shows when the application is made.


@pytest.fixture
def url(tmp_path: Any) -> str:
    """A database with the sessions table."""
    url = f"sqlite:///{tmp_path / 'sessions.sqlite'}"
    create_table(url)
    return url


class Started:
    """Makes applications, and closes what they opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._made: list[Any] = []

    def __call__(self, found: Given, configure: Callable[[Configurator], None]) -> Any:
        for variable, value in found.environ.items():
            self._monkeypatch.setenv(variable, value)
        with Configurator(settings=found.settings) as config:
            configure(config)
        app = config.make_wsgi_app()
        self._made.append(app)
        return app

    def message(self, found: Given, configure: Callable[[Configurator], None]) -> str:
        """What such an application ends with."""
        with pytest.raises(SettingError) as caught:
            self(found, configure)
        return str(caught.value)

    def close(self) -> None:
        for app in self._made:
            for store in app.registry["myapp.sessions"].stores.values():
                store.close()


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Makes applications out of settings."""
    started = Started(monkeypatch)
    yield started
    started.close()


def sessions(config: Configurator) -> None:
    """An application with sessions, and nothing else."""
    config.include("myapp.sessions")


def two_managers(config: Configurator) -> None:
    """An application with a second kind of session."""
    config.include("myapp.sessions")
    config.add_session("admin_session")


@pytest.mark.parametrize("source", SOURCES)
def test_two_managers_with_one_cookie_name_are_refused(
    start: Started, url: str, source: str
) -> None:
    """C3: they would overwrite each other's cookie."""
    key = "admin_session.cookie_name"
    found = given(source, {"session.url": url, "session.cookie_name": "sid", key: "sid"})
    assert start.message(found, two_managers) == (
        f"{key} = sid (from {found.words(key)}):"
        " expected a different name: the session manager 'session' already uses this name"
    )


def test_two_managers_with_the_default_cookie_name_are_refused(start: Started, url: str) -> None:
    """C3: and the second one's source is its default."""
    assert start.message(given("ini", {"session.url": url}), two_managers) == (
        "admin_session.cookie_name = session (from its default):"
        " expected a different name: the session manager 'session' already uses this name"
    )


def test_two_managers_with_two_cookie_names_start(start: Started, url: str) -> None:
    """I9: each with its own settings."""
    values = {"session.url": url, "admin_session.cookie_name": "admin"}
    app = start(given("environment", values), two_managers)
    managers = app.registry["myapp.sessions"].managers
    assert [m.settings.cookie_name for m in managers.values()] == ["session", "admin"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_bad_value_of_a_second_manager_is_refused(start: Started, url: str, source: str) -> None:
    """C2: under its own prefix, in the application as well."""
    key = "admin_session.lifetime"
    found = given(source, {"session.url": url, key: "soon"})
    assert start.message(found, two_managers) == (
        f"{key} = soon (from {found.words(key)}): expected {DURATION}"
    )


BAD_URLS = {
    **dict.fromkeys(
        [
            "sqlite://",
            "sqlite:///",
            "sqlite:///:memory:",
            "sqlite+pysqlite://",
            "sqlite+pysqlite:///:memory:",
            "sqlite:///:memory:?timeout=3",
            "sqlite:///file::memory:?uri=true",
            "sqlite:///file::memory:?cache=shared&uri=true",
            "sqlite:///file%3A%3Amemory%3A?uri=true",
            "sqlite:///file:x?mode=memory&cache=shared&uri=true",
            "sqlite:///file:x?mode=%6demory&uri=true",
            "sqlite:///file:x%3Fmode=memory?uri=true",
            "sqlite:///file:?uri=true",
            "sqlite:///file:///?uri=true",
            "sqlite:///file:/x?vfs=memdb&uri=true",
        ],
        IN_MEMORY,
    ),
    "nonsense": "expected a database URL such as sqlite:////path/to/file",
    "/tmp/x.sqlite": "expected a database URL such as sqlite:////path/to/file",
    "postgresql://h:port/d": "expected a database URL such as sqlite:////path/to/file",
    "nosuch://h/d": "expected SQLite, PostgreSQL, MariaDB or MySQL: nosuch is not supported",
    "SQLITE://": IN_MEMORY,
    "postgresql+nosuch://h/d": "expected postgresql:// (psycopg 3): there is no driver nosuch",
    "postgresql+pg8000://h/d": (
        "expected postgresql:// (psycopg 3): sessions do not work with pg8000"
    ),
    "postgresql+psycopg_async://h/d": (
        "expected postgresql:// (psycopg 3): sessions do not work with psycopg_async"
    ),
    "sqlite://x.sqlite": (
        "expected three slashes before a relative path, and four before any other:"
        " sqlite:////path/to/file"
    ),
    "sqlite:////x?timeout=soon": "expected a host and options that this database can use",
    "mysql://h/d?connect_timeout=soon": "expected connect_timeout to be a whole number",
}


@pytest.mark.parametrize(
    ("bad", "reason", "source"), [case[:3] for case in in_turn(BAD_URLS.items())]
)
def test_an_unusable_application_database_is_refused(
    monkeypatch: pytest.MonkeyPatch, bad: str, reason: str, source: str
) -> None:
    """C3: in `sqlalchemy.url`, by the application, alembic and commands."""
    found = given(source, {"sqlalchemy.url": bad})
    with pytest.raises(SettingError) as caught:
        read_application_settings(found.settings, found.environ)
    where = found.words("sqlalchemy.url")
    assert str(caught.value) == f"sqlalchemy.url = {printable(bad)} (from {where}): {reason}"


@pytest.mark.parametrize(("bad", "reason", "source", "prefix"), in_turn(BAD_URLS.items()))
def test_an_unusable_session_database_is_refused(
    start: Started, bad: str, reason: str, source: str, prefix: str
) -> None:
    """C3: in `session.url`, and in `sqlalchemy.url` where that counts."""
    key = "session.url" if prefix == "session." else "sqlalchemy.url"
    found = given(source, {key: bad})
    where = found.words(key)
    assert start.message(found, sessions) == f"{key} = {printable(bad)} (from {where}): {reason}"


@pytest.mark.parametrize("source", SOURCES)
def test_an_unusable_database_of_a_second_manager_is_refused(
    start: Started, url: str, source: str
) -> None:
    """C3: the same rule under every prefix."""
    key = "admin_session.url"
    values = {"session.url": url, "admin_session.cookie_name": "admin", key: "sqlite://"}
    found = given(source, values)
    assert start.message(found, two_managers) == (
        f"{key} = sqlite:// (from {found.words(key)}): {IN_MEMORY}"
    )


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ({}, "its default"),
        ({"session.url": ""}, "[app:main] of some.ini"),
        ({"sqlalchemy.url": ""}, "its default"),
    ],
)
def test_a_database_must_be_named(start: Started, settings: dict[str, str], source: str) -> None:
    """C2: with the two settings that can name it."""
    assert start.message(given("ini", settings), sessions) == (
        f"session.url = '' (from {source}):"
        " expected a database for the sessions, here or in sqlalchemy.url"
    )


def test_the_applications_database_must_be_named() -> None:
    """C2: the ini has it, unless somebody took it out."""
    with pytest.raises(SettingError) as caught:
        read_application_settings({}, {})
    assert str(caught.value) == (
        "sqlalchemy.url = '' (from its default):"
        " expected a database URL such as sqlite:////path/to/file"
    )


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("bad", ["maybe", "2"])
@pytest.mark.parametrize("key", ["database.migrate_on_start", "myapp.hsts"])
def test_a_bad_boolean_of_the_application_is_refused(key: str, source: str, bad: str) -> None:
    """C2: one rule for the application's own settings as well."""
    found = given(source, {"sqlalchemy.url": "sqlite:////x", key: bad})
    with pytest.raises(SettingError) as caught:
        read_application_settings(found.settings, found.environ)
    assert str(caught.value) == f"{key} = {bad} (from {found.words(key)}): expected {BOOL}"


@pytest.mark.parametrize("source", ["ini", "command line"])
@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("myapp.hst", "myapp.hsts"),
        ("database.migrate_on_strat", "database.migrate_on_start"),
        ("database.url", "sqlalchemy.url"),
    ],
)
def test_an_unknown_setting_of_the_application_is_refused(
    key: str, nearest: str, source: str
) -> None:
    """C2: with the nearest known one; `myapp.hst = true` would send no HSTS, without a word."""
    found = given(source, {"sqlalchemy.url": "sqlite:////x", key: "true"})
    with pytest.raises(SettingError) as caught:
        read_application_settings(found.settings, found.environ)
    assert str(caught.value) == (
        f"{key} = true (from {found.words(key)}):"
        f" expected a known setting; the nearest is {nearest}"
    )


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("sqlalchemy.ulr", "sqlalchemy.url"),
        ("databse.migrate_on_start", "database.migrate_on_start"),
        ("mapp.hsts", "myapp.hsts"),
        ("sesion.lifetime", "session.lifetime"),
        ("session_cookie_name", "session.cookie_name"),
        ("Session.Lifetime", "session.lifetime"),
        ("DATABASE_URL", "sqlalchemy.url"),
        ("pyramid.relod_templates", "pyramid.reload_templates"),
        ("retry.attemps", "retry.attempts"),
    ],
)
def test_a_key_close_to_a_known_one_is_warned_of(
    key: str, meant: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """C2: one that is nobody's may be anybody's, so it is no error."""
    others = {"admin_session.lifetime": "1h", "x_session.statement_timeout": "5s"}
    settings = {"sqlalchemy.url": url, key: "1", **others, **NEEDED}
    myapp.main({"__file__": "x.ini"}, **settings).registry["dbengine"].dispose()
    warned = [message for message in caplog.messages if "is unknown" in message]
    assert warned == [f"{key} (from [app:main] of x.ini) is unknown; did you mean {meant}?"]


INCLUDABLE = "the dotted name of a module or function that Pyramid can include"


@pytest.mark.parametrize(
    ("name", "value", "shown", "expected"),
    [
        ("pyramid.includes", "pyramid_tm nosuch.x", "nosuch.x", INCLUDABLE + r" \(No module"),
        ("pyramid.includes", ".nosuch", ".nosuch", INCLUDABLE + r" \(No module"),
        ("pyramid.includes", "json", "json", INCLUDABLE + "$"),
        ("pyramid.includes", "myapp:nosuch", "myapp:nosuch", INCLUDABLE + "$"),
        ("retry.attempts", "many", "many", "a whole number, at least 1$"),
        ("retry.attempts", "0", "0", "a whole number, at least 1$"),
        ("sqlalchemy.url", "sqlite:////nowhere/x", "sqlite:////nowhere/x", "a file in an existing"),
    ],
)
def test_what_others_would_answer_in_a_traceback_is_one_line(
    name: str, value: str, shown: str, expected: str, url: str
) -> None:
    """C2: settings that our ini files have, and Pyramid, pyramid_retry and alembic read."""
    settings = {"sqlalchemy.url": url, "database.migrate_on_start": "true", **NEEDED, name: value}
    words = rf"^myapp: {name} = {shown} \(from \[app:main\] of x\.ini\): expected {expected}"
    with pytest.raises(SystemExit, match=words):
        myapp.main({"__file__": "x.ini"}, **settings)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("import nosuch_module", ModuleNotFoundError),
        ("raise ImportError('no name')", ImportError),
        ("int('x')", ValueError),
        ("None.x", AttributeError),
    ],
)
def test_an_error_within_what_is_included_keeps_its_traceback(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    error: type[Exception],
) -> None:
    """C2: it is no wrong setting, and its developer needs the line."""
    (tmp_path / "breaks.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"sqlalchemy.url": url, "pyramid.includes": "breaks", **NEEDED}
    with pytest.raises(error):
        myapp.main({"__file__": "x.ini"}, **settings)


def test_a_variable_behind_the_command_is_warned_of(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """C2: pserve takes it for a value of [DEFAULT], and would start on the ini's database."""
    ini = tmp_path / "x.ini"
    ini.write_text("[app:main]\nsqlalchemy.url = %(database_uri)s\n")
    typed = {"DATABASE_URL": "x", "sesion_lifetime": "x", "database_uri": url, "http_port": "1"}
    settings = {"sqlalchemy.url": url, **NEEDED}
    myapp.main({"__file__": str(ini), **typed}, **settings).registry["dbengine"].dispose()
    source = "(from the command line or [DEFAULT]) is unknown; did you mean"
    assert [message for message in caplog.messages if "is unknown" in message] == [
        f"DATABASE_URL {source} sqlalchemy.url?",
        f"sesion_lifetime {source} session.lifetime?",
    ]


def test_the_start_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C6: which database and cookie; and once, that a file was just made."""
    caplog.set_level(logging.INFO, logger="myapp")
    monkeypatch.setattr("sys.argv", ["/usr/bin/pserve", "production.ini"])
    settings = {
        "sqlalchemy.url": f"sqlite:///{tmp_path / 'new.sqlite'}",
        "database.migrate_on_start": "true",
        "session.cookie_name": "sid",
        **NEEDED,
    }
    for _ in range(2):
        myapp.main({}, **settings).registry["dbengine"].dispose()
    told = [message for message in caplog.messages if message.startswith("myapp ")]
    database = f"sqlite:///{tmp_path / 'new.sqlite'}"
    line = f"myapp {version('myapp')} in pserve: database {database}, session cookie sid"
    assert told == [line, line]
    assert caplog.messages.count(f"the database did not exist and was created: {database}") == 1


def test_the_toolbar_may_be_missing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """V4: `pip install -e .` does not bring it, and development.ini names it."""
    monkeypatch.setitem(sys.modules, "pyramid_debugtoolbar", None)
    settings = {"sqlalchemy.url": url, "pyramid.includes": "myapp.toolbar", **NEEDED}
    myapp.main({}, **settings).registry["dbengine"].dispose()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABASE_MIGRATE_ON_STRAT", "DATABASE_MIGRATE_ON_START"),
        ("MYAPP_HST", "MYAPP_HSTS"),
        ("database_url", "DATABASE_URL"),
        ("SQLALCHEMY_URL", "DATABASE_URL"),
        ("session_lifetime", "SESSION_LIFETIME"),
    ],
)
def test_a_variable_close_to_one_of_the_application_is_warned_of(
    variable: str,
    meant: str,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """C2: once at the start of the whole application."""
    monkeypatch.setenv(variable, "x")
    myapp.main({}, **{"sqlalchemy.url": url}, **NEEDED).registry["dbengine"].dispose()
    assert (
        caplog.messages.count(f"environment variable {variable} is unknown; did you mean {meant}?")
        == 1
    )


def test_settings_and_variables_like_those_of_the_application_are_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """C2: what tools, other packages and hosts of databases have."""
    others = ("DATABASE_USER", "DATABASE_NAME", "DATABASE_HOST", "TEST_DATABASE_URL", "MYAPP_INI")
    settings = {"sqlalchemy.url": "sqlite:////x", "sqlalchemy.other": "1", "databases.x": "1"}
    read_application_settings(settings, dict.fromkeys(others, "x"))
    assert not caplog.messages


def test_an_option_of_an_engine_is_said_to_have_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    """C2: in many applications of Pyramid it has."""
    settings = {"sqlalchemy.url": "sqlite:////x", "sqlalchemy.pool_size": "20"}
    read_application_settings(environment.merge(settings, {"__file__": "x.ini"}), {})
    said = "sqlalchemy.pool_size (from [app:main] of x.ini) has no effect"
    assert caplog.messages == [f"{said}; the engine is made in myapp/models"]


@pytest.mark.parametrize("key", ["session.url", "sqlalchemy.url"])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "bad", ["nosuch://u:secret@h/d", "u:secret@h/d", "mysql://u:se@cret@h/d?connect_timeout=x"]
)
def test_no_message_shows_a_password(start: Started, bad: str, source: str, key: str) -> None:
    """C2: a bad URL may well hold a good password."""
    message = start.message(given(source, {key: bad}), sessions)
    assert message.startswith(f"{key} = ")
    assert "secret" not in message
    assert "cret" not in message
    assert "u:***@h/d" in message


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (
            "session.store",
            "no_such_module",
            "expected a name that can be imported: No module named 'no_such_module'",
        ),
        (
            "session.store",
            "os:nothing",
            "expected a name that can be imported: module 'os' has no attribute 'nothing'",
        ),
        ("session.store", "a..b", "expected a name that can be imported: No module named 'a'"),
        (
            "session.serializer",
            "no_such_module:x",
            "expected a name that can be imported: No module named 'no_such_module'",
        ),
        ("session.serializer", "os", "expected an object with loads and dumps"),
        (
            "session.store",
            "tests.sessions.broken.unfinished:Unfinished",
            "expected a store with last_sign_in",
        ),
    ],
)
def test_a_name_that_leads_to_nothing_of_use_is_refused(
    start: Started, url: str, key: str, value: str, reason: str, source: str
) -> None:
    """C2: what is named is looked for at start."""
    found = given(source, {"sqlalchemy.url": url, key: value})
    assert start.message(found, sessions) == f"{key} = {value} (from {found.words(key)}): {reason}"


TWEEN = "myapp.sessions.web.tween.session_tween_factory"
EXCVIEW = "pyramid.tweens.excview_tween_factory"


@pytest.mark.parametrize("source", ["ini", "command line"])
def test_explicit_tweens_without_ours_are_refused(start: Started, url: str, source: str) -> None:
    """C3: sessions would never be saved, without a word."""
    found = given(source, {"session.url": url, "pyramid.tweens": EXCVIEW})
    assert start.message(found, sessions) == (
        f"pyramid.tweens = {EXCVIEW} (from {found.words('pyramid.tweens')}):"
        f" expected these tweens, in this order: {TWEEN} {EXCVIEW}"
    )


def test_explicit_tweens_given_in_python_are_refused(start: Started, url: str) -> None:
    """C3: as a list, as Pyramid allows."""
    found = given("ini", {"session.url": url})
    found.settings["pyramid.tweens"] = ["pyramid_tm.tm_tween_factory", EXCVIEW]
    message = start.message(found, sessions)
    assert message.startswith(f"pyramid.tweens = pyramid_tm.tm_tween_factory {EXCVIEW} (from the ")


@pytest.mark.parametrize("tweens", [f"{TWEEN} {EXCVIEW}", f"\n{TWEEN}\n{EXCVIEW}", ""])
def test_explicit_tweens_with_ours_start(start: Started, url: str, tweens: str) -> None:
    """C3: their order is the application's affair, and no names at all are none."""
    assert start(given("ini", {"session.url": url, "pyramid.tweens": tweens}), sessions)


def other_factory() -> Any:
    """A session factory of Pyramid's own."""
    return SignedCookieSessionFactory("secret")


def set_before(config: Configurator) -> None:
    config.set_session_factory(other_factory())
    config.include("myapp.sessions")


def set_after(config: Configurator) -> None:
    config.include("myapp.sessions")
    config.set_session_factory(other_factory())


def set_long_after(config: Configurator) -> None:
    config.include("myapp.sessions")
    config.commit()
    config.set_session_factory(other_factory())


def set_long_before(config: Configurator) -> None:
    config.set_session_factory(other_factory())
    config.commit()
    config.include("myapp.sessions")


@pytest.mark.parametrize(
    "configure",
    [
        set_before,
        set_after,
        set_long_after,
        set_long_before,
    ],
)
def test_another_session_factory_is_refused(
    start: Started, url: str, configure: Callable[[Configurator], None]
) -> None:
    """C3: whichever came first, one of the two would be without effect."""
    assert start.message(given("ini", {"session.url": url}), configure).endswith(
        "(from config.set_session_factory):"
        " expected only one session factory: remove this one, or don't include myapp.sessions"
    )


def test_another_factory_of_the_configurator_is_refused(url: str) -> None:
    """C3: `Configurator(session_factory=…)` is the usual way to have one."""
    with Configurator(settings={"session.url": url}, session_factory=other_factory()) as config:
        config.include("myapp.sessions")
    with pytest.raises(SettingError, match="expected only one session factory"):
        config.make_wsgi_app()


# The same as a server's administrator sees it.


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "values",
    [
        {"session.lifetime": "soon"},
        {"session.cookie_name": "__Host-x", "session.cookie_secure": "false"},
        {"sqlalchemy.url": "sqlite://"},
        {"database.migrate_on_start": "maybe"},
        {"myapp.hsts": "maybe"},
    ],
    ids=lambda values: " ".join(f"{k}={v}" for k, v in values.items()),
)
def test_the_application_ends_with_the_line(
    monkeypatch: pytest.MonkeyPatch, url: str, values: dict[str, str], source: str
) -> None:
    """C2: no traceback, the name of the program and what is to be mended."""
    values = {"sqlalchemy.url": url, **values}
    line = {"__file__": "some.ini"}
    if source == "command line":
        line |= {key: value.replace("%", "%%") for key, value in values.items()}
    if source == "environment":
        for key, value in values.items():
            monkeypatch.setenv(variable_for(key), value)
    with pytest.raises(SystemExit) as caught:
        myapp.main(line, **(values if source == "ini" else {}))
    (key, value) = next((k, v) for k, v in values.items() if v != url)
    code = str(caught.value.code)
    assert code.startswith(f"myapp: {key} = {value} (from {given(source, {}).words(key)}): ")
    assert "\n" not in code


def test_an_unusual_default_would_be_noticed() -> None:
    """C4: each default of the table is a value that its own setting accepts."""
    for setting in (*TABLE.values(), *APPLICATION.values()):
        if setting.default:
            setting.parse(setting.default)
    assert session_settings.MAX_LIFETIME == 400 * DAY
