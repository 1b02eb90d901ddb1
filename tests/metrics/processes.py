"""Several processes of one application show their numbers together.

Its name keeps it out of `make test`; `make test/servers` runs it.
"""

from __future__ import annotations

import http.client
import os
import signal
import sys
from contextlib import closing
from pathlib import Path

from harness.processes import ROOT, clean_environment
from harness.servers.ports import LOOPBACK, answers, free_port
from harness.servers.process import Child
from harness.waiting import wait_until
from tests.metrics.samples import scrape

LOADS = "myapp_session_store_seconds_count{operation=load,transaction=own}"
WORKERS = 2


def test_workers_are_counted_together_and_replace_each_other(tmp_path: Path) -> None:
    """O6: with the variable of prometheus-client, under gunicorn, whichever worker answers."""
    port, metrics, folder = free_port(), free_port(), tmp_path / "numbers"
    folder.mkdir()
    server = gunicorn(tmp_path, port, metrics, folder)
    try:
        wait_until(lambda: not server.running or answers(port), "gunicorn", 60)
        visits = 0
        # Whoever forked the workers has a file of its own.
        while len([*folder.glob("histogram_*.db")]) <= WORKERS:
            visits += visit(port)
        wait_until(lambda: answers(metrics), "the metrics")
        wait_until(lambda: scrape(metrics)[LOADS] == visits, "the numbers of both")
        kill_the_one_that_answers(metrics, server)
        # The worker that takes its place begins with its first request.
        wait_until(lambda: bool(visit(port)) and answers(metrics), "another worker's answer")
        assert scrape(metrics)[LOADS] >= visits
    finally:
        server.stop()


def gunicorn(folder: Path, port: int, metrics: int, numbers: Path) -> Child:
    """Two workers of the application, on a new database."""
    environment = {
        "DATABASE_URL": f"sqlite:///{folder / 'myapp.sqlite'}",
        "METRICS_LISTEN": f"127.0.0.1:{metrics}",
        "PROMETHEUS_MULTIPROC_DIR": str(numbers),
    }
    return Child(
        [
            *(sys.executable, "-m", "gunicorn", "--paste", str(ROOT / "development.ini")),
            *("--preload", "--no-control-socket", "--workers", str(WORKERS)),
            *("--bind", f"{LOOPBACK}:{port}"),
        ],
        log=folder / "gunicorn.log",
        folder=ROOT,
        environment=clean_environment(environment),
    )


def visit(port: int) -> int:
    """Look at a session by a token that opens nothing."""
    with closing(http.client.HTTPConnection(LOOPBACK, port, timeout=60)) as connection:
        connection.request("GET", "/try", headers={"Cookie": f"{cookie_name()}={'x' * 43}"})
        answer = connection.getresponse()
        answer.read()
        return int(answer.status == 200)


def cookie_name() -> str:
    lines = (ROOT / "development.ini").read_text("utf-8").splitlines()
    (name,) = [line.partition("= ")[2] for line in lines if line.startswith("session.cookie_name")]
    return name


def kill_the_one_that_answers(metrics: int, server: Child) -> None:
    """Find it by what it listens at, and end it as a crash would."""
    holder = next(each for each in server.family() if listens(each, metrics))
    os.kill(holder, signal.SIGKILL)
    wait_until(lambda: holder not in server.family(), "its end")


def listens(process: int, port: int) -> bool:
    """Whether one of the process's sockets listens at the port of this machine."""
    local, listening = f"0100007F:{port:04X}", "0A"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[1] == local and row[3] == listening}
    links = [
        os.readlink(each) for each in Path(f"/proc/{process}/fd").iterdir() if each.is_symlink()
    ]
    return any(link == f"socket:[{inode}]" for link in links for inode in inodes)
