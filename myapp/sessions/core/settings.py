"""Every setting of a session manager: name, default, meaning and what is expected.

`TABLE` is the single source: the ini files, the reference page and `myapp-sessions INI config`
are tested against it (C4). Values are parsed here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, NoReturn

from myapp.pooler import POOLER_SETTING
from myapp.sessions.core.lifetime import MINUTE, SECOND
from myapp.setting_table import Reading, Setting, bool_setting, read_table

DAY: Final = 24 * 60 * MINUTE
MAX_LIFETIME: Final = 400 * DAY  # what browsers keep a cookie for at most
_MAX_PARSED: Final = 32  # characters; whatever is longer is no number that we take

_UNITS: Final = {"w": 7 * DAY, "d": DAY, "h": 60 * MINUTE, "m": MINUTE, "s": SECOND}
_DURATION: Final = re.compile(r"(?:\d+[wdhms])+|\d+", re.ASCII)
_PART: Final = re.compile(r"(\d+)([wdhms])", re.ASCII)
_SIZE: Final = re.compile(r"(\d+) ?(B|KiB|MiB)?", re.ASCII)
_SIZES: Final = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024 * 1024}
_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_COOKIE_ATTRIBUTE: Final = re.compile(r"[ !-:<-~]*")  # printable ASCII but the semicolon
_DOMAIN: Final = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
# As long as PostgreSQL lets the names of indexes be, which have twelve characters more.
TABLE_NAME: Final = r"[A-Za-z0-9_-]{1,51}"
A_TABLE_NAME: Final = "a name of 1 to 51 letters (a-z, A-Z), digits, _ and -"
_PLACED_TABLE: Final = re.compile(rf"(?:[A-Za-z0-9_-]{{1,63}}\.)?{TABLE_NAME}")
_DOTTED: Final = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """The settings of one manager, parsed and checked; durations in milliseconds, sizes in bytes.

    `None` stands for `off`, or for nothing given. `reading` knows where each value came from.
    """

    name: str
    prefix: str
    url: str | None = field(repr=False)  # which may hold a password
    table: str
    pooler: str
    join: bool
    cookie_name: str
    lifetime: int
    idle_timeout: int | None
    touch_interval: int
    anonymous_lifetime: int
    max_per_user: int | None
    max_size: int
    cookie_secure: bool
    cookie_httponly: bool
    cookie_persist: bool
    cookie_partitioned: bool
    cookie_samesite: str
    cookie_path: str
    cookie_domain: str | None
    record_client: str
    csrf: str
    sweep_interval: int | None
    connect_timeout: int
    statement_timeout: int
    store: str | None
    serializer: str | None
    reading: Reading = field(compare=False, repr=False)

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Raise SettingError for a value that was parsed but can't be used, with its source."""
        self.reading.refuse(key, expected)


def parse_duration(text: str) -> int:
    """Milliseconds of `1w`, `7d`, `3h`, `20m`, `90s`, `1h30m` or whole seconds (C1)."""
    if len(text) > _MAX_PARSED or not _DURATION.fullmatch(text):
        raise ValueError("not a duration")
    parts = _PART.findall(text)
    total = sum(int(n) * _UNITS[unit] for n, unit in parts) if parts else int(text) * SECOND
    if not 0 < total <= MAX_LIFETIME:
        raise ValueError("out of range")
    return total


def parse_duration_or_off(text: str) -> int | None:
    """Like `parse_duration`, with None for `off`."""
    return None if text == "off" else parse_duration(text)


def parse_size(text: str) -> int:
    """Bytes of `500`, `64 KiB` or `1 MiB`."""
    match = _SIZE.fullmatch(text) if len(text) <= _MAX_PARSED else None
    size = int(match[1]) * _SIZES[match[2]] if match else 0
    if not 0 < size <= 16 * 1024 * 1024 - 1:
        raise ValueError("not a size")
    return size


def _count_or_off(text: str) -> int | None:
    if text == "off":
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) == 0:
        raise ValueError("not a number of sessions")
    return int(text)


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError("not well-formed")
        return text

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError("not one of the words")
        return text.lower()

    return parse


def _path(text: str) -> str:
    if not text.startswith("/") or not _COOKIE_ATTRIBUTE.fullmatch(text):
        raise ValueError("not a path")
    return text


VISITORS_BY_ORIGIN: Final = "visitors_by_origin"
CSRF_MODES: Final = (VISITORS_BY_ORIGIN, "token")

TABLE_SETTING: Final = Setting(
    "table",
    "sessions",
    _matching(_PLACED_TABLE),
    f"{A_TABLE_NAME}, or schema.name",
    "Name of the sessions table, or schema.name. On MariaDB and MySQL the schema is a database;"
    " SQLite has no schemas. Another kind of session shares the first one's table unless it names"
    " its own.",
    "Change it if another application already has a table `sessions` in this database, or if"
    " several applications share the database; see also database.version_table.",
)
"""The row that says where sessions are; migrations read it, too."""

_A_DURATION: Final = "a duration such as 1w, 7d, 3h, 20m, 90s or 1h30m, at most 400 days"
_A_DOTTED_NAME: Final = "a dotted name such as package.module:name, or empty"
_ATTRIBUTE_TEXT: Final = "printable ASCII without a semicolon"


def _duration(name: str, default: str, help: str, when: str) -> Setting:
    return Setting(name, default, parse_duration, _A_DURATION, help, when)


def _duration_or_off(name: str, default: str, help: str, when: str) -> Setting:
    return Setting(name, default, parse_duration_or_off, f"{_A_DURATION}, or off", help, when)


_ROWS: Final = (
    Setting(
        "cookie_name",
        "session",
        _matching(_COOKIE_NAME),
        "a cookie name of RFC 6265: up to 128 letters, digits and !#$%&'*+-.^_`|~",
        "Name of the cookie.",
        "Choose a unique name for each application: two applications on one host would otherwise"
        " overwrite each other's cookie. `make session-name` writes a new one. Put `__Host-`"
        " before it if the site uses HTTPS.",
    ),
    _duration(
        "lifetime",
        "1w",
        "How long a session can live, counted from its start or the last sign-in, even if it is in"
        " use.",
        "Shorten it if much is at stake: 12h covers a working day.",
    ),
    _duration_or_off(
        "idle_timeout",
        "off",
        "How long a session lives without a request that uses it. It must be shorter than the"
        " lifetime.",
        "Set it if people leave their computers unattended: 30m, or 15m for payments.",
    ),
    _duration(
        "touch_interval",
        "",
        "How often, at most, a request that only reads the session records that it is in use. It"
        " must be shorter than the idle timeout. Empty: 1m, or a tenth of the idle timeout if that"
        " is less.",
        "Lengthen it to write less; a session may then time out earlier by that much.",
    ),
    _duration(
        "anonymous_lifetime",
        "",
        "The lifetime of sessions without a signed-in user. Empty: the lifetime.",
        "Shorten it if robots start many sessions: 2h.",
    ),
    Setting(
        "max_per_user",
        "off",
        _count_or_off,
        "a number of sessions from 1 to 999999, or off",
        "How many sessions one user can have; a sign-in beyond that ends the oldest one.",
        "Set it to limit the use of a stolen password, or the sharing of accounts.",
    ),
    Setting(
        "max_size",
        "64 KiB",
        parse_size,
        "a size such as 4096, 64 KiB or 1 MiB, below 16 MiB",
        "Largest size of one session's stored data; a larger session is refused.",
        "Lower it to notice early when something large is put into a session.",
    ),
    bool_setting(
        "cookie_secure",
        "true",
        "Send the cookie over HTTPS only.",
        "Set it to false only for plain http on a host other than localhost, or for Safari, which"
        " refuses such a cookie even from http://localhost.",
    ),
    bool_setting(
        "cookie_httponly",
        "true",
        "Hide the cookie from JavaScript.",
        "Leave it on: a script that can read the cookie can steal the session.",
    ),
    bool_setting(
        "cookie_persist",
        "true",
        "Keep the cookie when the browser is closed.",
        "Set it to false if computers are shared. session.remember_me() overrides it for one"
        " session.",
    ),
    bool_setting(
        "cookie_partitioned",
        "false",
        "Keep a separate cookie for each site that embeds this one in a frame (CHIPS).",
        "Set it to true if other sites show your pages in a frame; cookie_samesite must then be"
        " none.",
    ),
    Setting(
        "cookie_samesite",
        "lax",
        _one_of("lax", "strict", "none"),
        "lax, strict or none",
        "Whether the cookie is sent with requests that come from other sites.",
        "Choose strict if nobody needs to be signed in when they follow a link from another site,"
        " none for pages in frames of other sites.",
    ),
    Setting(
        "cookie_path",
        "/",
        _path,
        f"a path that begins with a slash, {_ATTRIBUTE_TEXT}",
        "The part of the site to which the cookie is sent.",
        "Change it to keep several applications on one host apart. It does not protect one from"
        " another.",
    ),
    Setting(
        "cookie_domain",
        "",
        _matching(_DOMAIN),
        "a domain name, or empty",
        "Share the cookie with all hosts below this domain. Empty: with this host only.",
        "Set it only if one application has several hosts.",
    ),
    Setting(
        "record_client",
        "full",
        _one_of("full", "shortened", "none"),
        "full, shortened or none",
        "How much of the client's address and user agent is stored, so that users can recognise"
        " their devices. shortened: the network (/24, /48) and 64 characters.",
        "Change it if the law or your privacy policy requires it.",
    ),
    Setting(
        "csrf",
        VISITORS_BY_ORIGIN,
        _one_of(*CSRF_MODES),
        " or ".join(CSRF_MODES),
        "How a form proves that it comes from a page of this site. visitors_by_origin: visitors by"
        " the headers that the browser sends, so that a form starts no session; signed-in users by"
        " the session's CSRF token. token: everybody by the token. Applies to `request.session`.",
        "Choose token if users are signed in by other means than the session.",
    ),
    Setting(
        "url",
        "",
        str,
        "a database URL, as in sqlalchemy.url",
        "A separate database for the sessions. Empty: the application's, sqlalchemy.url.",
        "Set it to keep the many small writes of sessions away from the application's data.",
    ),
    TABLE_SETTING,
    POOLER_SETTING,
    bool_setting(
        "join",
        "true",
        "Save a session within the request's transaction if that uses the same database, so that"
        " either both are committed or neither.",
        "Set it to false to save sessions in transactions of their own.",
    ),
    _duration_or_off(
        "sweep_interval",
        "5m",
        "How often each process deletes expired rows.",
        "Turn it off if a timer runs `myapp-sessions INI sweep` instead.",
    ),
    _duration(
        "connect_timeout",
        "3s",
        "How long to wait for a connection to the sessions' database.",
        "Lengthen it for a slow network; each waiting request occupies a thread.",
    ),
    _duration(
        "statement_timeout",
        "5s",
        "How long to wait for one statement or, on SQLite, for the lock on the file.",
        "Shorten it to fail sooner; lengthen it if batch jobs hold locks.",
    ),
    Setting(
        "store",
        "",
        _matching(_DOTTED),
        _A_DOTTED_NAME,
        "A callable that takes the settings and returns your own store. Empty: the SQLAlchemy"
        " store.",
        "Set it to keep sessions elsewhere; the package has a test suite for stores.",
    ),
    Setting(
        "serializer",
        "",
        _matching(_DOTTED),
        _A_DOTTED_NAME,
        "A serializer of your own, an object with loads and dumps. Empty: MessagePack.",
        "Set it to store types that MessagePack lacks. Sessions stored before become unreadable.",
    ),
)

TABLE: Final[Mapping[str, Setting]] = {setting.name: setting for setting in _ROWS}
"""The settings by name, in the order of the ini files and the reference."""


def read_session_settings(
    settings: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    name: str = "session",
    prefix: str = "session.",
) -> SessionSettings:
    """The settings of the manager `name`, whose keys begin with `prefix`.

    Raises SettingError, whose message names the setting, its value, where that came from and what
    was expected, for the first one that can't be used (C2, C3).
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise ValueError(f"{name!r} can't be a session manager's name: use a-z, 0-9 and _")
    reading = read_table(TABLE, settings, environ, prefix=prefix, owned=(prefix,))
    values = reading.values()
    if values["touch_interval"] is None:
        idle = values["idle_timeout"]
        values["touch_interval"] = MINUTE if idle is None else min(MINUTE, max(1, idle // 10))
    if values["anonymous_lifetime"] is None:
        values["anonymous_lifetime"] = values["lifetime"]
    result = SessionSettings(name=name, prefix=prefix, reading=reading, **values)
    _check_combinations(result)
    return result


def _check_combinations(s: SessionSettings) -> None:
    """Refuse combinations of values that are valid only separately (C3)."""
    if s.idle_timeout is not None and s.idle_timeout >= s.lifetime:
        s.refuse("idle_timeout", f"a duration shorter than {s.prefix}lifetime")
    if s.idle_timeout is not None and s.touch_interval >= s.idle_timeout:
        s.refuse("touch_interval", f"a duration shorter than {s.prefix}idle_timeout")
    if s.anonymous_lifetime > s.lifetime:
        s.refuse("anonymous_lifetime", f"a duration no longer than {s.prefix}lifetime")
    if s.cookie_samesite == "none" and not s.cookie_secure:
        s.refuse("cookie_samesite", f"{s.prefix}cookie_secure = true with this value")
    if s.cookie_partitioned and not s.cookie_secure:
        s.refuse("cookie_partitioned", f"{s.prefix}cookie_secure = true with this value")
    _check_name_prefix(s)


# What a cookie with such a name must be for browsers to accept it, by RFC 6265bis.
_NAME_PREFIXES: Final = {
    "__secure-": ("cookie_secure",),
    "__http-": ("cookie_secure", "cookie_httponly"),
    "__host-": ("cookie_secure", "cookie_domain", "cookie_path"),
    "__host-http-": ("cookie_secure", "cookie_httponly", "cookie_domain", "cookie_path"),
}
_DEMANDED: Final[Mapping[str, tuple[object, str]]] = {
    "cookie_secure": (True, "{0}cookie_secure = true"),
    "cookie_httponly": (True, "{0}cookie_httponly = true"),
    "cookie_domain": (None, "an empty {0}cookie_domain"),
    "cookie_path": ("/", "{0}cookie_path = /"),
}


def _check_name_prefix(s: SessionSettings) -> None:
    # Browsers compare the prefix without regard to case, so a check by case would be evaded.
    name = s.cookie_name.lower()
    demands = (keys for start, keys in _NAME_PREFIXES.items() if name.startswith(start))
    for key in chain.from_iterable(demands):
        value, words = _DEMANDED[key]
        if getattr(s, key) != value:
            s.refuse("cookie_name", f"{words.format(s.prefix)}, or browsers ignore such a cookie")
