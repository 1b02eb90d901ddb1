"""What `[server:main]` may say: waitress's options, `graceful_timeout`, and the port.

In an ini file `%(http_port)s` takes the value of [DEFAULT] even if the command line has another, so
a port that was typed wins over what the section says.
"""

from __future__ import annotations

import difflib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from myapp.environment import (
    SettingError,
    Sourced,
    as_written,
    defaults_of,
    parse_bool,
    typed_in_vain,
    unused,
)
from myapp.sessions.core.settings import parse_duration
from myapp.setting_table import Expected

_LARGEST_PORT: Final = 65_535
_TYPED: Final = "the command line"
_PORT_NAME: Final = "http_port"
_ADDRESSES: Final = ("host", "port", "listen", "unix_socket")
# How alike a global name must be to that one to be taken for it misspelt.
_CLOSE: Final = 0.8

_FORWARDED: Final = {f"x-forwarded-{what}" for what in ("for", "host", "proto", "port", "by")}

Parse = Callable[[str], Any]


def _number(smallest: int) -> tuple[Parse, str]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or len(text) > 12 or int(text) < smallest:
            raise ValueError("not such a number")
        return int(text)

    return parse, f"a whole number, at least {smallest}"


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:6]) > _LARGEST_PORT:
        raise ValueError("not a port")
    return int(text[:6])


def _listen(text: str) -> str:
    for address in text.split():
        host, colon, port = address.rpartition(":")
        if address.endswith("]") and address.startswith("["):
            continue
        if colon and (not host or (":" in host and not host.startswith("["))):
            raise ValueError("not an address")
        if colon:
            _port(port)
        _resolve(address if not colon else host)
    return text


def _host(text: str) -> str:
    if len(text.split()) != 1:
        raise ValueError("not one address")
    _resolve(text)
    # Else waitress takes the end of an IPv6 address for its port.
    return f"[{text}]" if ":" in text and not text.startswith("[") else text


def _resolve(host: str) -> None:
    name = None if host == "*" else host.strip("[]")
    try:
        socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise Expected("a name or an address of this machine") from None


def _proxy_headers(text: str) -> str:
    headers = {header.lower() for header in text.split()}
    if headers != {"forwarded"} and not headers <= _FORWARDED:
        raise ValueError("unknown, or both kinds")
    return text


def _mode(text: str) -> str:
    if not 0 <= int(text, 8) <= 0o777:
        raise ValueError("not a mode")
    return text


def _scheme(text: str) -> str:
    if text not in ("http", "https"):
        raise ValueError("not a scheme")
    return text


_BOOL: Final = parse_bool, "true or false"
_TEXT: Final = str, "a text"
_NONE_OR_MORE: Final = _number(0)
_ONE_OR_MORE: Final = _number(1)
_PORT: Final = _port, f"a port from 0 to {_LARGEST_PORT}"

OPTIONS: Final[Mapping[str, tuple[Parse, str]]] = {
    "graceful_timeout": (parse_duration, "a duration such as 30s, 90s, 5m or 1h30m"),
    "host": (_host, "exactly one name or address of this machine"),
    "port": _PORT,
    "listen": (_listen, "addresses such as 127.0.0.1:6543, [::1]:6543 or *:6543"),
    "unix_socket": (str, "the path of a socket"),
    "unix_socket_perms": (_mode, "an octal mode such as 660"),
    "ipv4": _BOOL,
    "ipv6": _BOOL,
    "threads": _ONE_OR_MORE,
    "trusted_proxy": _TEXT,
    "trusted_proxy_count": _ONE_OR_MORE,
    "trusted_proxy_headers": (
        _proxy_headers,
        f"forwarded, or some of {', '.join(sorted(_FORWARDED))}",
    ),
    "log_untrusted_proxy_headers": _BOOL,
    "clear_untrusted_proxy_headers": _BOOL,
    "url_scheme": (_scheme, "http or https"),
    "url_prefix": _TEXT,
    "backlog": _ONE_OR_MORE,
    "recv_bytes": _ONE_OR_MORE,
    "send_bytes": _ONE_OR_MORE,
    "outbuf_overflow": _ONE_OR_MORE,
    "outbuf_high_watermark": _ONE_OR_MORE,
    "inbuf_overflow": _ONE_OR_MORE,
    "connection_limit": _ONE_OR_MORE,
    "cleanup_interval": _ONE_OR_MORE,
    "channel_timeout": _ONE_OR_MORE,
    "log_socket_errors": _BOOL,
    "max_request_header_size": _ONE_OR_MORE,
    "max_request_body_size": _ONE_OR_MORE,
    "expose_tracebacks": _BOOL,
    "ident": _TEXT,
    "asyncore_loop_timeout": _ONE_OR_MORE,
    "asyncore_use_poll": _BOOL,
    "channel_request_lookahead": _NONE_OR_MORE,
    "server_name": _TEXT,
}
"""Each option, how it is parsed, and what is expected of it."""

_GRACEFUL_TIMEOUT: Final = "30s"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What to serve with."""

    options: Mapping[str, Any]
    """For waitress; it has no others."""
    graceful_timeout: float
    """Seconds that running requests have when the process is told to end."""
    named: str
    """The setting that says where to listen, with its value and source, for messages."""
    address: str
    source: str


def read_server_settings(
    section: Mapping[str, str], global_config: Mapping[str, str]
) -> ServerSettings:
    """Raises SettingError for the first option that can't be used, or is unknown (C2)."""
    ini = f"[server:main] of {Path(global_config.get('__file__', 'the ini file')).name}"
    given = {name: Sourced(text.strip(), ini) for name, text in section.items()}
    _refuse_unknown(given)
    _refuse_globals(global_config)
    # As everywhere, what is empty is not set.
    given = {name: text for name, text in given.items() if text}
    _choose_port(given, global_config)
    _refuse_contradictions(given)
    given.setdefault("graceful_timeout", Sourced(_GRACEFUL_TIMEOUT, "its default"))
    options = {name: _parsed(name, text) for name, text in given.items()}
    named = next((name for name in ("unix_socket", "listen", "port") if name in given), "host")
    address = given.get(named, Sourced("0.0.0.0:8080", "waitress's default"))
    return ServerSettings(
        graceful_timeout=options.pop("graceful_timeout") / 1000,
        options=options,
        named="http_port" if address.source == _TYPED else named,
        address=f"{given['host']}:{address}" if "host" in given and named == "port" else address,
        source=address.source,
    )


def _refuse_unknown(given: Mapping[str, Sourced]) -> None:
    for name, text in given.items():
        if name not in OPTIONS:
            alike = name.lower().replace("-", "_")
            (nearest,) = difflib.get_close_matches(alike, OPTIONS, n=1, cutoff=0)
            raise SettingError(name, text, text.source, f"a known option; the nearest is {nearest}")


def _choose_port(given: dict[str, Sourced], global_config: Mapping[str, str]) -> None:
    """Put the port that counts into `given`: typed > the section's > [DEFAULT]'s."""
    port = global_config.get("http_port")
    if port is None:
        return
    elsewhere = next((name for name in ("listen", "unix_socket") if name in given), None)
    if port == _default_port(global_config):
        if elsewhere is None:
            ini = Path(global_config.get("__file__", "the ini file")).name
            given.setdefault("port", Sourced(port.strip(), f"http_port in [DEFAULT] of {ini}"))
    elif elsewhere is None:
        given["port"] = Sourced(port.strip(), _TYPED)
    else:
        expected = f"no port, because {given[elsewhere].source} sets {elsewhere}"
        raise SettingError("http_port", port, _TYPED, expected)


def _default_port(global_config: Mapping[str, str]) -> str | None:
    """`http_port` in [DEFAULT], regardless of the command line."""
    return defaults_of(as_written(global_config)).get(_PORT_NAME)


def _refuse_globals(global_config: Mapping[str, str]) -> None:
    """Raise SettingError for an option that was typed, or is in [DEFAULT].

    PasteDeploy takes it for a global value and drops it from the section, too: without `host`,
    waitress would listen on every address of the machine.
    """
    written = as_written(global_config)
    defaults, in_vain = defaults_of(written), typed_in_vain(global_config)
    servers = [written[name] for name in written.sections() if name.startswith("server:")]
    dropped = {option for server in servers for option in server}
    # Whoever writes an address there does not want the server to listen at every other one.
    addresses = {name for name in unused(global_config) if name.lower() in _ADDRESSES}
    for name, value in global_config.items():
        if name in dropped or name in in_vain or name in addresses:
            expected = _expected_of_global(name, is_typed=name in in_vain)
            if expected is not None:
                ini = Path(global_config.get("__file__", "the ini file")).name
                is_default = defaults.get(name) == value
                source = f"[DEFAULT] of {ini}" if is_default else _TYPED
                raise SettingError(name, value, source, expected)


def _expected_of_global(name: str, *, is_typed: bool) -> str | None:
    """What is expected instead of a global value; None where it may well be another's."""
    option = name.lower()
    if option == "port":
        return f"{_PORT_NAME} instead"
    if option in OPTIONS:
        return "this option in [server:main]; global values don't reach the server"
    if is_typed and difflib.get_close_matches(option, [_PORT_NAME], cutoff=_CLOSE):
        return f"a known name; the nearest is {_PORT_NAME}"
    return None


def _refuse_contradictions(given: Mapping[str, Sourced]) -> None:
    """Only one of three can say where to listen."""
    for name in ("unix_socket", "listen"):
        others = [other for other in ("listen", "host", "port") if other in given and other != name]
        if name in given and others:
            text = given[name]
            expected = f"no {' and no '.join(others)} beside it"
            raise SettingError(name, text, text.source, expected)
    for name in ("trusted_proxy_headers", "trusted_proxy_count"):
        if name in given and "trusted_proxy" not in given:
            text = given[name]
            raise SettingError(name, text, text.source, "trusted_proxy beside it")


def _parsed(name: str, text: Sourced) -> Any:
    parse, expected = OPTIONS[name]
    try:
        return parse(text)
    except Expected as error:
        raise SettingError(_shown(name, text), text, text.source, error.expected) from None
    except ValueError:
        raise SettingError(_shown(name, text), text, text.source, expected) from None


def _shown(name: str, text: Sourced) -> str:
    return "http_port" if name == "port" and text.source == _TYPED else name
