"""A server that is told to end: pserve finishes what it was asked, within a limit."""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from harness.processes import ROOT, clean_environment
from harness.servers.ports import LOOPBACK, free_port
from harness.servers.process import Child
from harness.waiting import wait_until

INI = """
[DEFAULT]
http_port = {port}

[app:main]
use = call:tests.serving.waiting_app:make
folder = {folder}

[server:main]
use = egg:myapp#waitress
{server}

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(levelname)s %(message)s
"""


class Site:
    """The application that waits, in a real pserve."""

    def __init__(self, folder: Path, stack: ExitStack, *server: str, reload: bool = False) -> None:
        self.port = free_port()
        self.folder, self._stack = folder, stack
        unix = next((line for line in server if line.startswith("unix_socket")), "")
        self._path = unix.rpartition(" ")[2]
        self.ini = folder / "waiting.ini"
        lines = "\n".join(server if unix else ("host = 127.0.0.1", *server))
        self.ini.write_text(INI.format(port=self.port, folder=folder, server=lines))
        command = [sys.executable, "-m", "pyramid.scripts.pserve", str(self.ini)]
        self.child = Child(
            command + ["--reload"] * reload,
            log=folder / "log",
            folder=ROOT,
            environment=clean_environment(),
        )
        stack.callback(self.child.kill)
        wait_until(lambda: not self.child.running or self.accepts(), "a server", 60)
        assert self.child.running, self.child.output()

    def connect(self) -> HTTPConnection:
        """A connection; whatever becomes of it, it is closed with the test."""
        connection = HTTPConnection(LOOPBACK, self.port, timeout=60)
        self._stack.callback(connection.close)
        if self._path:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(60)
            connection.sock.connect(self._path)
        else:
            connection.connect()
        return connection

    def accepts(self) -> bool:
        """Whether somebody listens."""
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def ask(self, what: str) -> HTTPConnection:
        """A POST that was sent on a connection of its own."""
        connection = self.connect()
        connection.request("POST", what, b"x" * 10)
        return connection

    def await_begin(self, name: str) -> None:
        """Wait until a request of that name runs."""
        wait_until((self.folder / f"{name}.begun").exists, f"the beginning of {name}", 60)

    def let_go(self, *names: str) -> None:
        """Let the requests of these names be answered."""
        for name in names:
            (self.folder / name).touch()

    def end(self, number: int = signal.SIGTERM) -> None:
        """Tell it to end, and wait until it accepts no more."""
        os.kill(self.child.pid, number)
        wait_until(lambda: not self.accepts(), "a closed door", 60)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is closed after the test."""
    with ExitStack() as stack:
        yield stack


def answer(connection: HTTPConnection) -> tuple[int, str]:
    """Status and text of the answer to what was sent."""
    with connection.getresponse() as response:
        return response.status, response.read().decode()


@pytest.mark.parametrize("where", ["port", "unix_socket"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_asked_is_answered(
    tmp_path: Path, stack: ExitStack, where: str, number: signal.Signals
) -> None:
    """O4: what runs, waits for a thread or is still sent; idle connections are closed at once."""
    line = [f"unix_socket = {tmp_path / 's'}"] if where == "unix_socket" else []
    site = Site(tmp_path, stack, "threads = 2", "connection_limit = 12", *line)
    kept = site.ask("/echo")
    assert answer(kept) == (200, "10")
    streaming = site.ask("/stream/a")
    site.await_begin("a")
    first_half: HTTPResponse = streaming.getresponse()
    running = site.ask("/wait/b")
    site.await_begin("b")
    # More than threads, and more than waitress takes at once: the last are in the kernel's hands.
    waiting = [site.ask("/echo") for _ in range(20)]
    uploading = site.connect()
    uploading.putrequest("POST", "/echo")
    uploading.putheader("Content-Length", "6")
    uploading.endheaders(b"abc")
    site.end(number)
    assert kept.sock is not None
    assert kept.sock.recv(1) == b""
    uploading.send(b"def")
    site.let_go("a", "b")
    assert first_half.read() == b"begun, done"
    assert answer(running) == (200, "begun, done")
    assert [answer(each) for each in waiting] == [(200, "10")] * 20
    assert answer(uploading) == (200, "6")
    assert site.child.wait(30) == 0
    assert "Traceback" not in site.child.output()


def test_requests_in_one_go_are_answered_and_then_the_connection_closed(
    tmp_path: Path, stack: ExitStack
) -> None:
    """O4: the answer to the last of them says that it is the last."""
    site = Site(tmp_path, stack)
    connection = site.connect()
    request = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
    connection.sock.sendall(request % b"wait/a" + request % b"echo" + request % b"echo")
    site.await_begin("a")
    site.end()
    site.let_go("a")
    said = b"".join(iter(lambda: connection.sock.recv(4096), b""))
    assert said.count(b"200 OK") == 3
    assert len(re.findall(rb"Connection: close", said)) == 1
    assert site.child.wait(30) == 0


def test_nobody_holds_it_up_for_longer_than_the_limit(tmp_path: Path, stack: ExitStack) -> None:
    """O4: a page that takes too long, and a client that never finishes; the log says so."""
    site = Site(tmp_path, stack, "graceful_timeout = 1s")
    site.ask("/wait/never")
    site.await_begin("never")
    half = site.connect()
    half.sock.sendall(b"POST /echo HTTP/1.1\r\n")
    site.end()
    assert site.child.wait(30) == 0
    assert "WARNING 2 requests were cut off after 1 s" in site.child.output()
    assert "Traceback" not in site.child.output()


def test_another_signal_ends_it_at_once(tmp_path: Path, stack: ExitStack) -> None:
    """O4: whoever insists does not wait."""
    site = Site(tmp_path, stack, "graceful_timeout = 1h")
    site.ask("/wait/never")
    site.await_begin("never")
    site.end(signal.SIGINT)
    os.kill(site.child.pid, signal.SIGTERM)
    assert site.child.wait(30) == 128 + signal.SIGTERM


def test_a_changed_file_restarts_it(tmp_path: Path, stack: ExitStack) -> None:
    """O4: with --reload it ends for its successor, and with the process that watches."""
    site = Site(tmp_path, stack, reload=True)
    assert answer(site.ask("/echo")) == (200, "10")

    def noticed() -> bool:
        if "reloading" in site.child.output():
            return True
        # Whoever watches may not have looked at the file before.
        os.utime(site.ini)
        return False

    wait_until(noticed, "a look at the file", 60, pause=2)
    wait_until(lambda: site.child.output().count("Serving on") == 2, "another start", 60)
    assert answer(site.ask("/echo")) == (200, "10")
    site.end()
    # The process that watches kills what takes longer than a second, as on a busy machine.
    assert site.child.wait(30) in (0, 256 - signal.SIGKILL)
