"""Two copies of a server behind nginx, restarted in turn under load: no request is lost.

Its name keeps it out of `make test`; `make test/servers` runs it. nginx's lines are those of
deploy/nginx/myapp.conf, and the script that takes a server out of it is that of
docs/how-to/rolling-restart.md.
"""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

import pytest

from harness.processes import ROOT
from harness.servers.mariadb import MariaDB
from harness.servers.nginx import running_nginx
from harness.servers.ports import LOOPBACK, free_port
from harness.servers.process import Child
from harness.servers.programs import NGINX, ServerMissing, skip_or_fail
from harness.waiting import wait_until
from harness.web_servers import Serving
from tests.serving.every_server import EVERY, prepare

ROUNDS: Final = 2
CLIENTS: Final = 8
LOSES_NOTHING: Final = (
    "waitress",
    "gunicorn sync",
    "gunicorn threads",
    "gunicorn gevent",
    "granian",
)
CLOSES_TOO_EARLY: Final = tuple(name for name in EVERY if name not in LOSES_NOTHING)
"""Requests that wait in their socket are reset when it is closed."""
CONF: Final = ROOT / "deploy" / "nginx" / "myapp.conf"
PAGE: Final = ROOT / "docs" / "how-to" / "rolling-restart.md"


# Stands before the page's script: systemctl asks the test, which answers when it has restarted.
STAND_INS: Final = """
nginx() {{ {nginx} -c {folder}/nginx.conf "$@"; }}
systemctl() {{ echo "$2" > {folder}/asked; read -r _ < {folder}/restarted; }}
"""


def documented(language: str, changes: dict[str, str]) -> str:
    """The page's only block in this language, with ports and paths of this test."""
    [text] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for known, ours in changes.items():
        assert known in text
        text = text.replace(known, ours)
    return str(text)


def configuration(copies: list[Serving], front: int) -> str:
    """The file's servers and its location, over plain http, with the ports of this test."""
    text = CONF.read_text("utf-8")
    for known, copy in zip(("6543", "6544"), copies, strict=True):
        text = text.replace(f"127.0.0.1:{known}", f"{LOOPBACK}:{copy.port}")
    upstream = re.search(r"^upstream .*?^}$", text, re.DOTALL | re.MULTILINE)
    location = re.search(r"^ {4}location .*?^ {4}}$", text, re.DOTALL | re.MULTILINE)
    assert upstream is not None
    assert location is not None
    return f"{upstream[0]}\nserver {{\nlisten {LOOPBACK}:{front};\n{location[0]}\n}}"


def restart_out_of_nginx(copies: list[Serving], folder: Path) -> None:
    """Run the page's script, and restart what it says."""
    for name in ("asked", "restarted"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    script = STAND_INS.format(nginx=NGINX.find(), folder=folder) + documented(
        "bash",
        {
            "/etc/nginx/conf.d/myapp.conf": f"{folder}/nginx.conf",
            "/run/nginx.pid": f"{folder}/pid",
            "6543 6544": " ".join(str(copy.port) for copy in copies),
        },
    )
    log = folder / "restart.log"
    child = Child(["bash", "-c", script], log=log, folder=folder)
    for copy in copies:
        with (folder / "asked").open() as asked:
            assert asked.read() == f"myapp@{copy.port}\n"
        copy.restart()
        (folder / "restarted").write_text("yes\n")
    assert child.wait(60) == 0, child.output()


class Load:
    """Clients that GET and POST without a pause, and note what was not answered with 200."""

    def __init__(self, port: int) -> None:
        self._port, self._over = port, threading.Event()
        self.answered = 0
        self.lost: list[str] = []
        self._threads = [threading.Thread(target=self._visit) for _ in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def go_on(self) -> None:
        """Wait until some more requests were answered."""
        enough = self.answered + 50
        wait_until(lambda: self.answered > enough, "load", 60)

    def _visit(self) -> None:
        while not self._over.is_set():
            for method, path, expected in (("GET", "/kept", 200), ("POST", "/kept", 400)):
                # A POST without its origin is refused by the application, and so has reached it.
                connection = HTTPConnection(LOOPBACK, self._port, timeout=60)
                try:
                    connection.request(method, path, b"x=1" if method == "POST" else None)
                    status: object = connection.getresponse().status
                except (OSError, HTTPException) as error:
                    status = repr(error)
                finally:
                    connection.close()
                if status == expected:
                    self.answered += 1
                else:
                    self.lost.append(f"{method} {status}")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where everything lies."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def copies(
    request: pytest.FixtureRequest, folder: Path, mariadb: MariaDB
) -> Iterator[list[Serving]]:
    """Two copies of the server that the test names, with one database."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(mariadb.database())
            copies = []
            for number in "ab":
                prepare(folder / number, url)
                copies.append(Serving(EVERY[request.param], folder / number, DATABASE_URL=url))
                stack.enter_context(copies[-1])
        except ServerMissing as missing:
            skip_or_fail(missing)
        yield copies
        for copy in copies:
            copy.end()


@pytest.fixture
def front(copies: list[Serving], folder: Path) -> Iterator[int]:
    """The port of nginx, which stands before both."""
    port = free_port()
    try:
        with running_nginx(folder, port, configuration(copies, port)):
            yield port
    except ServerMissing as missing:
        skip_or_fail(missing)


@pytest.mark.parametrize("copies", LOSES_NOTHING, indirect=True)
def test_a_rolling_restart_loses_nothing(copies: list[Serving], front: int) -> None:
    """O4: two processes of each server, one ended and started after the other, under load."""
    with Load(front) as load:
        for copy in copies * ROUNDS:
            load.go_on()
            copy.restart()
    print(f"{load.answered} answered, {len(load.lost)} lost")
    assert load.lost == []


@pytest.mark.parametrize("copies", CLOSES_TOO_EARLY, indirect=True)
def test_a_server_that_was_taken_out_of_nginx_loses_nothing(
    copies: list[Serving], front: int, folder: Path
) -> None:
    """O4: the page's script restarts those that close their socket too early."""
    with Load(front) as load:
        for _ in range(ROUNDS):
            load.go_on()
            restart_out_of_nginx(copies, folder)
        load.go_on()
    print(f"{load.answered} answered, {len(load.lost)} lost")
    assert load.lost == []
