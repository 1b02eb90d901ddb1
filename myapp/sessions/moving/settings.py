"""Every setting of a move: `TABLE` is the single source of the reference page (C4).

The options of an old library keep their names, behind `moving.` and the library's word.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from pyramid.path import DottedNameResolver

from myapp.sessions.core.lifetime import SECOND, from_datetime
from myapp.sessions.core.settings import MAX_LIFETIME
from myapp.setting_table import Reading, Setting, bool_setting, read_table

KINDS: Final = ("signed_cookie", "beaker", "session_redis", "redis_sessions", "auth_tkt")
NEVER, PLAIN, TRUSTED = "never", "plain", "trusted"
BEAKER_TYPES: Final = ("file", "ext:database", "ext:redis")

_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_ATTRIBUTE: Final = re.compile(r"[ !-:<-~]*")
_A_COOKIE_NAME: Final = "a cookie name of RFC 6265"
_OLD: Final = "Copy it from the old application."


def _kinds(text: str) -> tuple[str, ...]:
    words = tuple(text.replace(",", " ").split())
    if not words or len(set(words)) < len(words) or not set(words) <= {*KINDS}:
        raise ValueError("not old libraries")
    return words


def _one_of(*words: str) -> Any:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError("not one of the words")
        return text.lower()

    return parse


def _matching(pattern: re.Pattern[str]) -> Any:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError("not well-formed")
        return text

    return parse


def _hash(text: str) -> str:
    # ValueError for what there is not, and for what can't sign.
    if not hashlib.new(text).digest_size:
        raise ValueError("its digests have no length of their own")
    hmac.new(b"", b"", text)
    return text


def _moment(text: str) -> int:
    # Without a time zone it would be another moment on another machine.
    return from_datetime(datetime.fromisoformat(text))


def _timeout(text: str) -> int | None:
    """Seconds, as each of the old libraries counts; longer than a cookie lives means no timeout."""
    if text.lower() in ("", "none"):
        return None
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) == 0:
        raise ValueError("not a number of seconds")
    seconds = int(text)
    return seconds if seconds * SECOND < MAX_LIFETIME else None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError("not a port")
    return int(text)


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise ValueError("not a number")
    return int(text)


def _folder(text: str) -> str:
    if not Path(text).is_dir():
        raise ValueError("not a folder")
    return text


def _url(text: str) -> str:
    if not urlsplit(text).scheme:
        raise ValueError("not a URL")
    return text


def _function(text: str) -> Any:
    try:
        found = DottedNameResolver(None).resolve(text)
    except (ImportError, AttributeError) as error:
        raise ValueError("can't be imported") from error
    if not callable(found):
        raise ValueError("can't be called")
    return found


def _secret(kind: str, help: str) -> Setting:
    expected = "the secret of the old sessions; without it they can't be verified"
    return Setting(f"{kind}.secret", "", str, expected, help, _OLD)


def _cookie(name: str, default: str) -> Setting:
    parse = _matching(_COOKIE_NAME)
    return Setting(name, default, parse, _A_COOKIE_NAME, "Name of the old cookie.", _OLD)


def _place(path: str, domain: str) -> tuple[Setting, Setting]:
    text, parse = "printable ASCII without a semicolon", _matching(_ATTRIBUTE)
    help = "{0} of the old cookie; browsers need it to delete the cookie."
    return (
        Setting(path, "/", parse, text, help.format("Path"), _OLD),
        Setting(domain, "", parse, f"{text}, or empty", help.format("Domain"), _OLD),
    )


def _seconds(name: str, default: str) -> Setting:
    expected = "whole seconds, or none"
    help = "Seconds without a request after which the old sessions expired."
    return Setting(name, default, _timeout, expected, help, _OLD)


def _redis(kind: str, prefix: str) -> tuple[Setting, ...]:
    """Where Redis is, by an URL or in parts; the two libraries differ in the prefix alone."""
    url, of = f"{kind}.{prefix}url", "The old sessions' Redis: "
    socket = f"{kind}.{prefix}unix_socket_path"
    return (
        Setting(url, "", _url, "a URL, redis://…", f"{of}its URL. Empty: see host and port.", _OLD),
        Setting(f"{kind}.{prefix}host", "localhost", str, "a host", f"{of}its host.", _OLD),
        Setting(f"{kind}.{prefix}port", "6379", _port, "a port", f"{of}its port.", _OLD),
        Setting(f"{kind}.{prefix}db", "0", _number, "a number", f"{of}its database.", _OLD),
        Setting(f"{kind}.{prefix}password", "", str, "a password", f"{of}its password.", _OLD),
        Setting(socket, "", str, "a path", f"{of}its socket, in place of host and port.", _OLD),
        Setting(
            f"{kind}.deserialize",
            "",
            _function,
            "the dotted name of a function that takes bytes",
            "The function that reads the stored sessions. Empty: pickle, as moving.pickle allows.",
            "Copy it from the old application: json.loads, for example.",
        ),
    )


_ROWS: Final = (
    Setting(
        "from",
        "",
        _kinds,
        f"one or more of {', '.join(KINDS)}",
        "The libraries whose sessions are adopted. signed_cookie is Pyramid's own"
        " SignedCookieSessionFactory, beaker is pyramid_beaker, session_redis is"
        " pyramid_session_redis, redis_sessions is pyramid_redis_sessions, and auth_tkt is the"
        " cookie of Pyramid's AuthTktAuthenticationPolicy or AuthTktCookieHelper.",
        "Name two if the user is in one cookie and the session in another.",
        required=True,
    ),
    Setting(
        "user_key",
        "",
        str,
        "a key of the old sessions, or empty",
        "The key under which an old session holds its user's id. Empty: auth_tkt names the user,"
        " or nobody is signed in.",
        "Set it if the old application kept the user in the session.",
    ),
    Setting(
        "pickle",
        NEVER,
        _one_of(NEVER, PLAIN, TRUSTED),
        f"{NEVER}, {PLAIN} or {TRUSTED}",
        "Whether pickled sessions are read. plain: only those that hold nothing but Python's own"
        " plain values, dates, UUIDs and Decimals; others are left out. trusted: all of them. This"
        " executes what the old store holds: anybody who can write there, or who knows the secret"
        " of a cookie, can run any program on this machine.",
        "Choose plain for libraries that pickle, trusted only if that is not enough and nobody"
        " else can write to the old store.",
    ),
    bool_setting(
        "keep_old",
        "false",
        "Leave the old cookies and the old store unchanged until the user signs out.",
        "Set it to true while servers with the old code still run, or while you may go back to it."
        " Set it to false afterwards: old cookies are then deleted as they arrive.",
    ),
    Setting(
        "began_after",
        "",
        _moment,
        "a moment with its time zone, such as 2026-11-26T03:00Z, or empty",
        "Refuse old sessions that began before this moment, or that do not say when they began."
        " Empty: all are adopted.",
        "Set it to sign everybody out, for example after a leak: ending sessions and changing a"
        " password affect only sessions that have moved. Leave it set until the move is over.",
    ),
    _secret("signed_cookie", "The secret that signs the cookie."),
    Setting(
        "signed_cookie.salt",
        "pyramid.session.",
        str,
        "a text",
        "The salt of the signature.",
        _OLD,
    ),
    Setting(
        "signed_cookie.hashalg",
        "sha512",
        _hash,
        "an algorithm that hashlib knows, such as sha512",
        "The algorithm that signs the cookie.",
        _OLD,
    ),
    _cookie("signed_cookie.cookie_name", "session"),
    _seconds("signed_cookie.timeout", "1200"),
    Setting(
        "signed_cookie.serializer",
        "json",
        _one_of("json", "pickle"),
        "json or pickle",
        "How the cookie's contents are serialized: json in Pyramid 2, pickle in earlier versions.",
        "Choose pickle if the old application runs Pyramid 1, unless it uses JSONSerializer.",
    ),
    *_place("signed_cookie.path", "signed_cookie.domain"),
    Setting(
        "beaker.type",
        "file",
        _one_of(*BEAKER_TYPES),
        ", ".join(BEAKER_TYPES),
        "Where Beaker keeps its sessions.",
        _OLD,
    ),
    Setting(
        "beaker.data_dir",
        "",
        _folder,
        "an existing folder, for beaker.type = file",
        "The folder in which Beaker keeps its files.",
        _OLD,
    ),
    Setting(
        "beaker.url",
        "",
        _url,
        "a URL, for ext:database and ext:redis",
        "The URL of Beaker's database or Redis.",
        "Copy it from the old application, where it may also be called sa.url.",
    ),
    Setting(
        "beaker.table_name",
        "beaker_cache",
        _matching(re.compile(r"[A-Za-z0-9_]{1,63}")),
        "a name",
        "The table of beaker.type = ext:database.",
        _OLD,
    ),
    _secret("beaker", "The secret that signs the cookie. Empty: the cookie is not signed."),
    _cookie("beaker.key", "beaker.session.id"),
    _seconds("beaker.timeout", ""),
    Setting(
        "beaker.data_serializer",
        "pickle",
        _one_of("json", "pickle"),
        "json or pickle",
        "How the contents are serialized.",
        _OLD,
    ),
    *_place("beaker.cookie_path", "beaker.cookie_domain"),
    _secret("session_redis", "The secret that signs the cookie."),
    _cookie("session_redis.cookie_name", "session"),
    *_place("session_redis.cookie_path", "session_redis.cookie_domain"),
    *_redis("session_redis", "redis_"),
    _secret("redis_sessions", "The secret that signs the cookie."),
    _cookie("redis_sessions.cookie_name", "session"),
    *_place("redis_sessions.cookie_path", "redis_sessions.cookie_domain"),
    *_redis("redis_sessions", ""),
    _secret("auth_tkt", "The secret that signs the cookie."),
    Setting(
        "auth_tkt.hashalg",
        "sha512",
        _hash,
        "an algorithm that hashlib knows, such as sha512",
        "The algorithm that signs the cookie.",
        "Choose md5 if an application on Pyramid 1 did not name an algorithm.",
    ),
    _cookie("auth_tkt.cookie_name", "auth_tkt"),
    bool_setting(
        "auth_tkt.include_ip",
        "false",
        "Whether the signature covers the client's address, too.",
        _OLD,
    ),
    _seconds("auth_tkt.timeout", ""),
    bool_setting("auth_tkt.wild_domain", "true", "Whether subdomains get the cookie, too.", _OLD),
    *_place("auth_tkt.path", "auth_tkt.domain"),
)

TABLE: Final[Mapping[str, Setting]] = {setting.name: setting for setting in _ROWS}
"""The settings by name, without `moving.`, in the order of the reference page."""

PREFIX: Final = "moving."
OWNED: Final = (PREFIX,)
"""Names that begin like this are ours; one that is not in the table is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingSettings:
    """What a move was told; `reading` knows where each value came from."""

    kinds: tuple[str, ...]
    user_key: str | None
    pickle: str
    keep_old: bool
    began_after: int | None
    """In milliseconds since 1970."""
    reading: Reading

    def of(self, kind: str) -> dict[str, Any]:
        """The options of one old library, by its own names."""
        start = f"{kind}."
        given = self.reading.given.items()
        return {
            name.removeprefix(start): each.value for name, each in given if name.startswith(start)
        }

    def refuse(self, name: str, expected: str) -> NoReturn:
        """Raise SettingError for one of the values: it can't be used after all."""
        self.reading.refuse(name, expected)


def read_moving_settings(settings: Mapping[str, Any], environ: Mapping[str, str]) -> MovingSettings:
    """The settings whose names begin with `moving.`. Raises SettingError, in one line (C2)."""
    reading = read_table(TABLE, settings, environ, prefix=PREFIX, owned=OWNED)
    values = reading.values()
    given = MovingSettings(
        kinds=values["from"],
        user_key=values["user_key"],
        pickle=values["pickle"],
        keep_old=values["keep_old"],
        began_after=values["began_after"],
        reading=reading,
    )
    for kind in given.kinds:
        # Beaker alone can do without: its ids are as hard to guess as they are.
        if kind != "beaker" and not given.of(kind)["secret"]:
            given.refuse(f"{kind}.secret", TABLE[f"{kind}.secret"].expected)
        if given.pickle == NEVER and _pickles(kind, given.of(kind)):
            given.refuse("pickle", f"{PLAIN} or {TRUSTED}, because {kind} pickles its sessions")
    return given


def _pickles(kind: str, options: Mapping[str, Any]) -> bool:
    """Whether an old library, as it was told, keeps its sessions as pickles."""
    if "deserialize" in options:
        return options["deserialize"] is None
    return "pickle" in (options.get("serializer"), options.get("data_serializer"))
