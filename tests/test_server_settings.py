"""What `[server:main]` may say, and how a start ends that can't use it."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest
from waitress.adjustments import Adjustments

from harness.processes import ROOT, Pserve
from harness.servers.ports import LOOPBACK
from myapp.environment import SettingError
from myapp.server import _listening
from myapp.server_settings import OPTIONS, ServerSettings, read_server_settings


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """An ini file whose [DEFAULT] has a port."""
    ini = tmp_path / "site.ini"
    ini.write_text("[DEFAULT]\nhttp_port = 6543\n")
    return ini


def read(ini: Path, typed: str = "6543", **section: str) -> ServerSettings:
    """The section, as pserve hands it on."""
    return read_server_settings(section, {"__file__": str(ini), "http_port": typed})


@pytest.mark.parametrize(
    ("section", "typed", "options"),
    [
        ({"host": "localhost"}, "6543", {"host": "localhost", "port": 6543}),
        ({"host": "::1", "port": "1"}, "6543", {"host": "[::1]", "port": 1}),
        # The section's port may be %(http_port)s, which is [DEFAULT]'s: what was typed counts.
        ({"host": "127.0.0.1", "port": "6543"}, "7", {"host": "127.0.0.1", "port": 7}),
        (
            {"listen": "127.0.0.1:1 [::1]:1 *:2"},
            "6543",
            {"listen": "127.0.0.1:1 [::1]:1 *:2"},
        ),
        ({"unix_socket": " /run/s\n", "host": ""}, "6543", {"unix_socket": "/run/s"}),
    ],
)
def test_where_it_listens(
    ini: Path, section: dict[str, str], typed: str, options: dict[str, object]
) -> None:
    """C: typed > the section > [DEFAULT]; what is empty is not set."""
    read_ = read(ini, typed, **section)
    assert read_.options == options
    assert read_.graceful_timeout == 30


def test_it_knows_the_options_of_waitress() -> None:
    """C4: all but the one that no file can hold, and one of our own."""
    assert OPTIONS.keys() - {"graceful_timeout"} == {*Adjustments._param_map} - {"sockets"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("treads", "4", "a known option; the nearest is threads"),
        ("Port", "4", "a known option; the nearest is port"),
        ("graceful-timeout", "4", "a known option; the nearest is graceful_timeout"),
        ("graceful_timeout", "soon", "a duration such as 30s, 90s, 5m or 1h30m"),
        ("graceful_timeout", "0", "a duration such as 30s, 90s, 5m or 1h30m"),
        ("port", "http", "a port from 0 to 65535"),
        ("port", "65536", "a port from 0 to 65535"),
        ("port", "-1", "a port from 0 to 65535"),
        ("port", "٦٥٤٣", "a port from 0 to 65535"),
        ("port", "6543000000000", "a port from 0 to 65535"),
        ("threads", "0", "a whole number, at least 1"),
        ("threads", "8 ; eight", "a whole number, at least 1"),
        ("ipv6", "maybe", "true or false"),
        ("host", "no such.invalid", "exactly one name or address of this machine"),
        ("host", "nowhere.invalid", "a name or an address of this machine"),
        ("listen", "127.0.0.1:x", "addresses such as 127.0.0.1:6543, [::1]:6543 or *:6543"),
        ("listen", "::1:6543", "addresses such as 127.0.0.1:6543, [::1]:6543 or *:6543"),
        ("unix_socket_perms", "rw", "an octal mode such as 660"),
        ("url_scheme", "ftp", "http or https"),
        ("trusted_proxy_headers", "x-forwarded-for", "trusted_proxy beside it"),
    ],
)
def test_what_cannot_be_used_is_refused(ini: Path, name: str, value: str, expected: str) -> None:
    """C2: with its name, value, source and what was expected."""
    with pytest.raises(SettingError) as caught:
        read(ini, **{name: value})
    assert (caught.value.setting, caught.value.value) == (name, value)
    assert caught.value.source == "[server:main] of site.ini"
    assert caught.value.expected == expected


@pytest.mark.parametrize("section", [{"listen": "*:1"}, {"unix_socket": "/run/s"}])
def test_one_place_to_listen_is_enough(ini: Path, section: dict[str, str]) -> None:
    """C2, C3: a second one is refused, in the section or on the command line."""
    with pytest.raises(SettingError, match="expected no host beside it"):
        read(ini, host="localhost", **section)
    with pytest.raises(SettingError, match=r"^http_port = 7 \(from the command line\)"):
        read(ini, "7", **section)


@pytest.mark.parametrize(
    ("name", "expected", "source"),
    [
        *(
            (name, expected, source)
            for source in ("the command line", "[DEFAULT] of site.ini")
            for name, expected in (
                ("port", "http_port instead"),
                ("host", "this option in [server:main]; global values don't reach the server"),
            )
        ),
        ("http_prot", "a known name; the nearest is http_port", "the command line"),
    ],
)
def test_an_option_that_is_no_global_value_is_refused(
    ini: Path, name: str, expected: str, source: str
) -> None:
    """C2: PasteDeploy drops it from [server:main] as well; without a host, all could connect."""
    if source != "the command line":
        ini.write_text(f"[DEFAULT]\nhttp_port = 6543\n{name} = ::1\n")
    with pytest.raises(SettingError) as caught:
        read_server_settings({}, {"__file__": str(ini), "http_port": "6543", name: "::1"})
    assert (caught.value.setting, caught.value.value) == (name, "::1")
    assert (caught.value.source, caught.value.expected) == (source, expected)


def test_a_global_value_of_another_name_is_left_alone(ini: Path) -> None:
    """C2: an application may read it; no option of a server is lost by it."""
    ini.write_text("[DEFAULT]\nhttps_port = 1\nthreads = 2\n[server:main]\nport = 3\n")
    settings = {"__file__": str(ini), "https_port": "1", "threads": "2"}
    assert read_server_settings({"port": "3"}, settings).options == {"port": 3}


@pytest.mark.parametrize("option", ["listen = %(host)s:1", "host = %(host)s"])
def test_a_global_value_may_be_taken_by_another_option_alone(ini: Path, option: str) -> None:
    """C2: by an option of the same name it would be dropped."""
    ini.write_text(f"[DEFAULT]\nhost = ::1\n[server:main]\n{option}\n")
    settings = {"__file__": str(ini), "host": "::1"}
    if option.startswith("listen"):
        assert read_server_settings({}, settings).options == {}
    else:
        with pytest.raises(SettingError, match=r"^host = ::1 \(from \[DEFAULT\] of site\.ini\)"):
            read_server_settings({}, settings)


def test_a_unix_socket_is_taken_only_from_a_server_that_has_ended(tmp_path: Path) -> None:
    """C2: as a port in use; one that was left behind is replaced."""
    path = tmp_path / "s"
    options = {"unix_socket": str(path)}
    settings = read_server_settings(options, {"__file__": str(tmp_path / "site.ini")})
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(SettingError, match=r"^unix_socket = .*Address already in use"):
            _listening(lambda *_: [], settings, {})
    sockets: dict[int, Any] = {}
    _listening(lambda *_: [], settings, sockets).close()


@pytest.mark.parametrize(
    ("line", "typed", "said"),
    [
        (
            "",
            ("http_port={taken}",),
            r"http_port = localhost:\d+ \(from the command line\).*already",
        ),
        ("threads = many", (), "threads = many .*: expected a whole number, at least 1"),
        (
            "trusted_proxy = 127.0.0.1\ntrusted_proxy_headers = x-real-ip",
            (),
            r"trusted_proxy_headers = x-real-ip .*: expected forwarded, or some of x-forwarded-",
        ),
    ],
)
def test_a_start_that_fails_says_so_in_one_line(
    tmp_path: Path, line: str, typed: tuple[str, ...], said: str
) -> None:
    """C2: by pserve, with an exit status that a service manager understands."""
    with socket.create_server((LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        text = (ROOT / "development.ini").read_text("utf-8")
        ini = tmp_path / "site.ini"
        ini.write_text(
            text.replace("host = localhost", f"host = localhost\n{line}".format(taken=taken))
        )
        folder = tmp_path / "run"
        folder.mkdir()
        words = [word.format(taken=taken) for word in typed]
        status, output = Pserve(ini, folder, *words).run_until_exit()
    assert status == 1
    (last,) = [each for each in output.splitlines() if each.startswith("myapp: ")]
    assert re.match(f"myapp: {said}", last)
    assert "Traceback" not in output
    assert output.splitlines()[-1] == last
