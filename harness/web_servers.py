"""Web servers that load the application from an ini file, each run as its own manual says.

A server is a family of processes: the first one is what an administrator starts and ends.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.request import urlopen

from harness.processes import ROOT, clean_environment
from harness.servers.ports import LOOPBACK, answers, free_port
from harness.servers.process import Child
from harness.servers.programs import ServerMissing
from harness.waiting import wait_until

Command = Callable[[Path, int], list[str]]

# Granian wants a name to import. This is what docs/how-to/servers.md has.
WSGI: Final = """
from pyramid.paster import get_app, setup_logging


def application():
    setup_logging("{ini}")
    return get_app("{ini}")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to serve: its package, and the words after `python -m`, or a path and its words."""

    package: str
    command: Command
    forks: bool = False
    """Whether it loads the application in one process, and serves in others forked from that."""
    reloads_at: signal.Signals | None = None
    """The signal to reload the application in new workers while its socket stays open."""
    started: str = ""
    """What each of its two workers logs once; empty if there is no need to wait for them."""


def gunicorn(*options: str) -> Command:
    """Its command line with two workers and these options."""
    return lambda ini, port: [
        *("gunicorn", "--paste", str(ini), "--bind", f"{LOOPBACK}:{port}"),
        # It would lie in the developer's home, where his own gunicorn may have one.
        *("--no-control-socket", "--workers", "2", *options),
    ]


KINDS: Final = {
    "waitress": Kind(
        package="waitress",
        command=lambda ini, port: ["pyramid.scripts.pserve", str(ini), f"http_port={port}"],
    ),
    "gunicorn": Kind(
        package="gunicorn", command=gunicorn("--threads", "4"), reloads_at=signal.SIGHUP
    ),
    "gunicorn-preload": Kind(package="gunicorn", command=gunicorn("--preload"), forks=True),
    "granian": Kind(
        package="granian",
        command=lambda ini, port: [
            *("granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "4"),
            *("--working-dir", str(ini.parent), "--port", str(port)),
            # A worker that is told to end while it starts misses it, and would be waited for.
            *("--workers-kill-timeout", "5", "--factory", "wsgi:application"),
        ],
        started="Started worker",
    ),
}


class Serving:
    """The application in one of these servers, from a copy of development.ini in `folder`."""

    def __init__(self, kind: Kind, folder: Path, **environment: str) -> None:
        """Raise ServerMissing if its package is not installed; nothing is started yet."""
        if importlib.util.find_spec(kind.package) is None:
            raise ServerMissing(f"{kind.package} is not installed: pip install {kind.package}")
        self.port = free_port()
        self._started, self._folder = kind.started, folder
        self._reloads_at = kind.reloads_at
        ini = Path(shutil.copy(ROOT / "development.ini", folder))
        # The toolbar says itself that it is not made for several processes. In its place stands the
        # page that the tests ask for.
        text = re.sub(r"^(?=debugtoolbar)", "#", ini.read_text("utf-8"), flags=re.M)
        ini.write_text(text.replace("= myapp.toolbar\n", "= tests.keeping\n"))
        (folder / "wsgi.py").write_text(WSGI.format(ini=ini))
        words = kind.command(ini, self.port)
        python = [] if words[0].startswith("/") else [sys.executable, "-m"]
        self._command = [*python, *words]
        self._environment = clean_environment(environment)

    def __enter__(self) -> Self:
        """Start, and wait until it answers."""
        self._child = Child(
            self._command,
            log=self._folder / "log",
            folder=ROOT,
            environment=self._environment,
        )
        try:
            wait_until(lambda: not self._child.running or self._is_up(), "an answer", 120)
            assert self._child.running, self.output()
        except BaseException:
            self._child.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, in any state."""
        if self._child.running:
            self._child.kill()

    def _is_up(self) -> bool:
        """Whether it answers, and not by a socket alone that waits for its workers."""
        if self._started and self.output().count(self._started) < 2:
            return False
        if not answers(self.port):
            return False
        try:
            urlopen(f"http://{LOOPBACK}:{self.port}/health", timeout=60).close()
        except OSError:
            return False
        return True

    @property
    def first(self) -> int:
        """The process that was started, by its id."""
        return self._child.pid

    @property
    def workers(self) -> list[int]:
        """The processes that it started in turn and that serve."""
        return children(self.first)

    def output(self) -> str:
        """What all of them wrote."""
        return self._child.output()

    def restart(self) -> None:
        """Reload the application, as the server's manual says; if it can't, restart it."""
        if self._reloads_at is None:
            self.end()
            self.__enter__()
            return
        before = set(self.workers)
        os.kill(self.first, self._reloads_at)
        wait_until(lambda: not before & set(self.workers) and self._is_up(), "new workers", 120)

    def end(self) -> float:
        """Ask it to end as a service manager does; how many seconds that took all of them."""
        family = [self.first, *self.workers]
        began = time.monotonic()
        self._child.stop(seconds=60)
        wait_until(lambda: not any(map(lives, family)), "the end of all processes")
        return time.monotonic() - began


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()]


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def open_files(pid: int) -> set[str]:
    """What a process has open: paths, and sockets by their number."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(str(entry.readlink()))
    return found


def sockets_to(port: int) -> set[str]:
    """The sockets of all processes that are connected to this port, by their number."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = (line.split() for line in lines)
    return {f"socket:[{row[9]}]" for row in rows if int(row[2].rpartition(":")[2], 16) == port}
