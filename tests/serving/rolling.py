"""Two copies of a server behind nginx, restarted in turn under load: no request is lost.

Its name keeps it out of `make test`; `make test/servers` runs it. nginx's lines are those of
docs/how-to/rolling-restart.md.
"""

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
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.waiting import wait_until
from harness.web_servers import Serving
from tests.serving.every_server import EVERY, prepare

ROUNDS: Final = 2
CLIENTS: Final = 8
LOSES_NOTHING: Final = (
    *("waitress", "gunicorn sync", "gunicorn threads", "gunicorn gevent", "granian"),
)
"""The others lose some, see docs/reference/servers.md."""
PAGE: Final = ROOT / "docs" / "how-to" / "rolling-restart.md"


def documented(ports: list[int], front: int) -> str:
    """The page's configuration, with the ports of this test."""
    found = re.search(r"```nginx\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    text = found[1]
    for known, port in zip(("6543", "6544"), ports, strict=True):
        text = text.replace(f"127.0.0.1:{known}", f"{LOOPBACK}:{port}")
    return text.replace("listen 80;", f"listen {LOOPBACK}:{front};")


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


@pytest.mark.parametrize("name", LOSES_NOTHING)
def test_a_rolling_restart_loses_nothing(name: str, folder: Path, mariadb: MariaDB) -> None:
    """O4: two processes of each server, one ended and started after the other, under load."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(mariadb.database())
            copies = []
            for number in "ab":
                own = folder / number
                prepare(own, url)
                copies.append(Serving(EVERY[name], own, DATABASE_URL=url))
                stack.enter_context(copies[-1])
            front = free_port()
            lines = documented([copy.port for copy in copies], front)
            stack.enter_context(running_nginx(folder, front, lines))
        except ServerMissing as missing:
            skip_or_fail(missing)
        with Load(front) as load:
            for copy in copies * ROUNDS:
                load.go_on()
                copy.restart()
        print(f"{name}: {load.answered} answered, {len(load.lost)} lost")
        assert load.lost == []
        for copy in copies:
            copy.end()
