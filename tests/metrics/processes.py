"""Several processes of one application show their numbers together, in each server that has some.

Its name keeps it out of `make test`; `make test/servers` runs it.
"""

from __future__ import annotations

import http.client
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.mmap_dict import MmapedDict

from harness.processes import ROOT
from harness.servers.ports import LOOPBACK, answers, free_port
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.waiting import wait_until
from harness.web_servers import KINDS, Command, Kind, Serving, gunicorn
from tests.metrics.samples import scrape

LOADS: Final = "myapp_session_store_seconds_count{operation=load,transaction=own}"
WORKERS: Final = 2


def uwsgi(*options: str) -> Command:
    """Its command line, with as many workers, and the threads without which nothing is shown."""
    program = Path(sys.executable).with_name("pyuwsgi")
    return lambda ini, port: [
        *(str(program), "--http-socket", f"{LOOPBACK}:{port}", "--master", "--die-on-term"),
        *("--processes", str(WORKERS), "--enable-threads", "--threads", "2"),
        *("--wsgi-file", str(ini.with_name("called.py")), *options),
    ]


def granian(ini: Path, port: int) -> list[str]:
    # By itself it ends as a whole if a worker does.
    return [*KINDS["granian"].command(ini, port), "--respawn-failed-workers"]


SERVERS: Final = {
    "gunicorn": (Kind(package="gunicorn", command=gunicorn()), signal.SIGTERM, False),
    "gunicorn preload": (KINDS["gunicorn-preload"], signal.SIGTERM, False),
    "granian": (Kind(package="granian", command=granian), signal.SIGHUP, True),
    "uWSGI": (Kind(package="pyuwsgi", command=uwsgi()), signal.SIGHUP, False),
    "uWSGI lazy-apps": (
        Kind(package="pyuwsgi", command=uwsgi("--lazy-apps")),
        signal.SIGHUP,
        False,
    ),
}
"""Each with the signal by which its workers end and are replaced, and whether its first process is
to get it, or each worker.
"""


class Workers:
    """The application in a server, with the numbers of all of its workers."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.metrics, self.numbers = free_port(), folder / "numbers"
        self.numbers.mkdir()
        # Granian wants a function, uWSGI what it returns.
        path = [str(ROOT), *(entry for entry in sys.path if "site-packages" in entry)]
        called = f"import sys\nsys.path[:0] = {[*path, str(folder)]!r}\nimport wsgi\n"
        (folder / "called.py").write_text(f"{called}application = wsgi.application()\n")
        self.serving = Serving(
            kind,
            folder,
            DATABASE_URL=f"sqlite:///{folder / 'myapp.sqlite'}",
            METRICS_LISTEN=f"{LOOPBACK}:{self.metrics}",
            PROMETHEUS_MULTIPROC_DIR=str(self.numbers),
        )
        self.visits = 0

    def visit(self) -> bool:
        """Look at a session by a token that opens nothing; whether it was answered."""
        headers = {"Cookie": f"{cookie_name()}={'x' * 43}"}
        try:
            with closing(http.client.HTTPConnection(LOOPBACK, self.serving.port, 60)) as connection:
                connection.request("GET", "/kept", headers=headers)
                answer = connection.getresponse()
                answer.read()
        except OSError:
            return False
        self.visits += answer.status == 200
        return answer.status == 200

    def counting(self) -> set[int]:
        """The processes that have counted a visit."""
        files = {int(each.stem.rpartition("_")[2]): each for each in self._files()}
        return {process for process, file in files.items() if loads_in(file)}

    def _files(self) -> Iterator[Path]:
        return self.numbers.glob("histogram_*.db")

    def visit_all(self, of: int) -> None:
        """Visit until so many workers have counted a visit, and all visits are shown."""

        def counted() -> bool:
            self.visit()
            return len(self.counting()) >= of

        wait_until(counted, f"{of} workers", 90)
        wait_until(lambda: answers(self.metrics), "the metrics", 30)
        wait_until(lambda: scrape(self.metrics)[LOADS] == self.visits, "the numbers of all", 30)

    def holder(self) -> int:
        """The worker that answers, found by what it listens at."""
        return next(each for each in self.serving.workers if listens(each, self.metrics))


def loads_in(file: Path) -> float:
    """More than 0 if one process has counted some of them."""
    found: Any = MmapedDict
    values = found.read_all_values_from_file(str(file))
    return sum((value for key, value, *_ in values if '"load"' in key), 0.0)


@pytest.mark.parametrize("name", SERVERS)
def test_workers_are_counted_together_and_replace_each_other(name: str, tmp_path: Path) -> None:
    """O6: with the variable of prometheus-client: whichever worker answers, whoever crashes, and
    whoever is told to end right after its last request.
    """
    kind, sent, to_first = SERVERS[name]
    try:
        workers = Workers(kind, tmp_path)
    except ServerMissing as missing:
        skip_or_fail(missing)
    with workers.serving as serving:
        workers.visit_all(of=WORKERS)
        crashed = workers.holder()
        os.kill(crashed, signal.SIGKILL)
        wait_until(lambda: crashed not in serving.workers, "its end")
        workers.visit_all(of=WORKERS + 1)
        for _ in range(20):
            workers.visit()
        told = {*serving.workers}
        for process in [serving.first] if to_first else told:
            os.kill(process, sent)
        wait_until(lambda: not told & {*serving.workers}, "their end", 60)
        workers.visit_all(of=WORKERS + 2)


def cookie_name() -> str:
    lines = (ROOT / "development.ini").read_text("utf-8").splitlines()
    (name,) = [line.partition("= ")[2] for line in lines if line.startswith("session.cookie_name")]
    return name


def listens(process: int, port: int) -> bool:
    """Whether one of the process's sockets listens at the port of this machine."""
    local, listening = f"0100007F:{port:04X}", "0A"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[1] == local and row[3] == listening}
    links = [
        os.readlink(each) for each in Path(f"/proc/{process}/fd").iterdir() if each.is_symlink()
    ]
    return any(link == f"socket:[{inode}]" for link in links for inode in inodes)
