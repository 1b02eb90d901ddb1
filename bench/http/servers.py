"""The servers, each started as docs/how-to/servers.md says, and Go's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench import ROOT, cores
from harness.processes import clean_environment
from harness.servers.ports import LOOPBACK, answers, free_port
from harness.servers.process import Child
from harness.waiting import wait_until
from harness.web_servers import WSGI, children

WORKERS: Final = 2

_INI: Final = """
[DEFAULT]
http_port = {port}

[app:main]
use = call:bench.http.apps:application
contender = {contender}
url = {url}

[server:main]
use = egg:myapp#waitress
host = {host}
threads = {threads}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to serve."""

    name: str
    command: Callable[[Kind, Path, int, str], list[str]]
    """What starts it, for an ini file, a port and the database that the file names."""
    threads: int = 0
    """In each process."""
    workers: int = 0
    """Processes that load a Python application; none in Go."""
    one_core: bool = False
    """Whether all of them have one core, which they share with nobody."""


def _waitress(kind: Kind, ini: Path, port: int, url: str) -> list[str]:
    return [sys.executable, "-m", "pyramid.scripts.pserve", str(ini)]


def _gunicorn(kind: Kind, ini: Path, port: int, url: str) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "--paste", str(ini), "--bind", f"{LOOPBACK}:{port}"),
        *("--no-control-socket", "--workers", str(kind.workers), "--threads", str(kind.threads)),
    ]


def _granian(kind: Kind, ini: Path, port: int, url: str) -> list[str]:
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)),
        *("--workers", str(kind.workers), "--blocking-threads", str(kind.threads)),
        *("--working-dir", str(ini.parent), "--workers-kill-timeout", "5"),
        *("--factory", "wsgi:application"),
    ]


KINDS: Final = (
    Kind(name="waitress", threads=4, workers=1, command=_waitress),
    Kind(name="waitress", threads=8, workers=1, command=_waitress),
    Kind(name="gunicorn", threads=1, workers=WORKERS, command=_gunicorn),
    Kind(name="gunicorn", threads=4, workers=WORKERS, command=_gunicorn),
    Kind(name="granian", threads=1, workers=WORKERS, command=_granian),
    Kind(name="granian", threads=4, workers=WORKERS, command=_granian),
)

ON_ONE_CORE: Final = tuple(
    replace(kind, workers=1, one_core=True) for kind in KINDS if kind.workers > 1
)


def net_http(program: str) -> Kind:
    """Go's own server, within the contender of this path."""
    return Kind(
        name="net/http",
        command=lambda kind, ini, port, url: [program, url, "serve", f"{LOOPBACK}:{port}"],
        one_core=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that runs."""

    port: int
    first: int
    """The process that was started."""

    def processor_time(self) -> float:
        """Seconds of the processor that it has used, all of its processes together."""
        return sum(map(_processor_time, [self.first, *children(self.first)]))


@contextmanager
def serving(kind: Kind, folder: Path, contender: str, url: str) -> Iterator[Served]:
    """A contender, served from an empty folder by all of its processes."""
    port = free_port()
    ini = folder / "bench.ini"
    ini.write_text(
        _INI.format(port=port, contender=contender, url=url, host=LOOPBACK, threads=kind.threads)
    )
    (folder / "wsgi.py").write_text(WSGI.format(ini=ini))
    with cores.measured() if kind.one_core else nullcontext():
        child = Child(
            kind.command(kind, ini, port, url),
            log=folder / "log",
            folder=ROOT,
            # The working folder of a program is not where its modules are looked for.
            environment=clean_environment({"PYTHONPATH": os.pathsep.join([str(ROOT), *_path()])}),
        )

    def is_up() -> bool:
        return len(list(folder.glob("loaded-*"))) >= kind.workers and answers(port)

    try:
        wait_until(lambda: not child.running or is_up(), f"{kind.name} at port {port}", 60)
        if not child.running:
            raise RuntimeError(f"{kind.name} did not start:\n{child.output()}")
        yield Served(port=port, first=child.pid)
    finally:
        if child.running:
            child.kill()


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # Counted from the state on: in user mode and in the kernel's.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _path() -> list[str]:
    given = os.environ.get("PYTHONPATH")
    return [given] if given else []
