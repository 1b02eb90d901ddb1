"""The real ``pserve``, run by the tests as an administrator would run it.

The tests' own environment must not leak into its settings.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.servers.ports import answers, free_port
from harness.servers.process import Child
from harness.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent

WORKERS = os.environ.get("WORKERS", "3")
"""How many processes a run of the test suite uses, as the Makefile says."""
# Variables that a developer has exported for a server of their own must not affect a test.
_SETTINGS = re.compile(
    r"ACCOUNTS_|DATABASE_|LOGS_|METRICS_|MYAPP_|PROMETHEUS_|SESSION_|\w+_SESSION_"
    r"|PYTHONOPTIMIZE$|PYTHONWARNINGS$"
)
# setuptools warns from 80.9 on at every start of Pyramid 2.1, and the tests read standard error.
_NOT_OURS = "ignore:pkg_resources is deprecated"


class StartFailed(RuntimeError):
    """The process ended instead of answering; the message is what it said."""


class Pserve:
    """``pserve`` on a copy of an ini file and on a free port of its own.

    ``folder`` gets the copy and the files beside an ini file, such as the SQLite database. It
    outlives the process, so that a second start finds what the first one left.
    """

    def __init__(
        self,
        ini: Path,
        folder: Path,
        *variables: str,
        environment: Mapping[str, str] | None = None,
        interpreter_options: Sequence[str] = (),
        interpreter: str | Path = sys.executable,
        started_in: Path = ROOT,
    ) -> None:
        """Copy the ini file; ``variables`` are ``name=value`` words of the command line.

        ``started_in`` is the folder from which it is started: the project's, as a developer does.
        """
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.ini = Path(shutil.copy(ini, folder))
        self._log = folder / f"pserve-{self.port}.log"
        self._environment = clean_environment(environment)
        self._started_in = started_in
        pserve = [str(interpreter), *interpreter_options, "-m", "pyramid.scripts.pserve"]
        self._command = [*pserve, str(self.ini), f"http_port={self.port}", *variables]
        self._child: Child | None = None

    def __enter__(self) -> Self:
        """Start and wait until the port answers."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the process."""
        self.stop()

    def start(self, seconds: float = 60) -> None:
        """Start, or start again, and wait until the port answers; raise StartFailed if it ends."""
        child = self._spawn()
        try:
            wait_until(lambda: not child.running or answers(self.port), self.url, seconds)
        except TimeoutError:
            child.kill()
            raise
        if not child.running:
            child.wait(0)
            raise StartFailed(self.output())

    def run_until_exit(self, seconds: float = 60) -> tuple[int, str]:
        """Start what must end by itself; return its exit status and its output."""
        child = self._spawn()
        try:
            return child.wait(seconds), self.output()
        except subprocess.TimeoutExpired:
            child.kill()
            raise AssertionError(
                f"it started, but should have refused to:\n{self.output()}"
            ) from None

    def output(self) -> str:
        """Return what it wrote since its last start, errors included."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End it as a service manager does."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """End it as a crash of its machine does."""
        if self._child is not None:
            self._child.kill()

    def _spawn(self) -> Child:
        self._log.write_text("")
        self._child = Child(
            self._command,
            log=self._log,
            folder=self._started_in,
            environment=self._environment,
        )
        return self._child


def clean_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without settings of myapp, then with the changes."""
    kept = {name: value for name, value in os.environ.items() if not _SETTINGS.match(name)}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": _NOT_OURS} | dict(changes or {})
