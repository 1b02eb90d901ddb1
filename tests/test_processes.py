"""The tests of the tests' own pserve."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.request import urlopen

import pytest

from harness.processes import Pserve, StartFailed, clean_environment

INI = """
[app:main]
paste.app_factory = tests.test_processes:greeter

[server:main]
use = egg:waitress#main
listen = localhost:%(http_port)s
"""


def greeter(
    global_config: dict[str, str], **settings: str
) -> Callable[[object, Callable[..., object]], Iterable[bytes]]:
    """Make the application that pserve runs here: it says what it was told to say."""
    greeting = os.environ.get("GREETING") or global_config.get("greeting", "hello")
    if greeting == "nothing":
        raise ValueError("there is nothing to say")
    print("ready to say", greeting)

    def application(environ: object, start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [greeting.encode()]

    return application


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """An ini file of an application that needs nothing."""
    path = tmp_path / "hello.ini"
    path.write_text(INI)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the copy."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def test_it_answers_when_its_block_begins_and_not_after_its_end(ini: Path, folder: Path) -> None:
    """Nobody has to wait for it."""
    with Pserve(ini, folder) as pserve:
        assert _get(pserve) == "hello"
        assert "ready to say hello" in pserve.output()
    with pytest.raises(OSError, match="refused"):
        _get(pserve)


def test_words_of_the_command_line_and_the_environment_reach_it(ini: Path, folder: Path) -> None:
    """Both are how an administrator configures it."""
    with Pserve(ini, folder, "greeting=good day") as pserve:
        assert _get(pserve) == "good day"
    with Pserve(ini, folder, environment={"GREETING": "good night"}) as pserve:
        assert _get(pserve) == "good night"


def test_it_starts_again_where_it_was_killed(ini: Path, folder: Path) -> None:
    """Same port, same folder, a new process."""
    with Pserve(ini, folder) as pserve:
        url = pserve.url
        pserve.kill()
        pserve.start()
        assert pserve.url == url
        assert _get(pserve) == "hello"


def test_a_start_that_must_fail_gives_its_status_and_its_words(ini: Path, folder: Path) -> None:
    """The message is what a test of bad settings looks at."""
    status, output = Pserve(ini, folder, "greeting=nothing").run_until_exit()
    assert status == 1
    assert "there is nothing to say" in output


def test_a_start_that_fails_unexpectedly_says_why(ini: Path, folder: Path) -> None:
    """A test does not wait for a port that will never answer."""
    with (
        pytest.raises(StartFailed, match="nothing to say"),
        Pserve(ini, folder, "greeting=nothing"),
    ):
        pass


def test_a_start_that_ought_to_fail_and_does_not_is_an_error(ini: Path, folder: Path) -> None:
    """And leaves no process behind."""
    pserve = Pserve(ini, folder)
    with pytest.raises(AssertionError, match="should have refused"):
        pserve.run_until_exit(seconds=1)
    with pytest.raises(OSError, match="refused"):
        _get(pserve)


def test_a_developers_settings_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test runs alike on every machine."""
    for name in ("DATABASE_URL", "SESSION_LIFETIME", "ADMIN_SESSION_LIFETIME"):
        monkeypatch.setenv(name, "mine")
    environment = clean_environment({"SESSION_LIFETIME": "1h"})
    assert environment["SESSION_LIFETIME"] == "1h"
    assert "mine" not in environment.values()
    assert environment["PATH"] == os.environ["PATH"]


def _get(pserve: Pserve) -> str:
    with urlopen(pserve.url, timeout=5) as response:
        body: bytes = response.read()
    return body.decode()
