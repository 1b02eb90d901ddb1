"""The commands of operators on a table of a million sessions.

    python -m tests.operators.million --database postgresql --rows 1000000

Fills a database of its own, times each command as a process of its own, measures the most memory
that it took, then interrupts `end --all` and repeats it. Ends with status 1 if a command failed,
took longer than it may beyond the start of Python, or more memory, or left a session.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from harness.processes import clean_environment
from harness.servers.mariadb import MariaDB
from harness.servers.postgresql import PostgreSQL
from myapp.database import create_database_engine
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.core.settings import DAY
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import new_handle
from myapp.sessions.sql.model import table
from tests.sessions.app import create_table

SECONDS: Final = 2.0
MEMORY: Final = 100 * 1024 * 1024
BATCH: Final = 10_000
PER_USER: Final = 5

ASKED: Final = (
    ("stats",),
    ("list", "--limit", "20"),
    ("check",),
    ("end", "--user", "7", "--yes"),
)

# Starts a command from a small process: what the one that forks has taken would count for it.
_LAUNCHER: Final = """
import json, os, subprocess, sys, time
began = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
took, processor = time.monotonic() - began, used.ru_utime + used.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), took, processor, used.ru_maxrss * 1024]))
"""

COMMAND: Final = Path(sys.executable).with_name("myapp-sessions")


def main() -> int:
    """Run it as the command line says; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    kinds = ("sqlite", "postgresql", "mariadb")
    parser.add_argument("--database", choices=kinds, default="postgresql")
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _database(given.database, folder) as url:
        began = time.monotonic()
        fill(url, given.rows)
        print(f"{given.database}: {given.rows:,} rows in {time.monotonic() - began:.0f} s")
        ini = Path(folder, "shop.ini")
        ini.write_text("[app:main]\nuse = call:tests.foreign_app:main\n")
        start = _took(ini, url, ("config",))
        print(f"  the start takes          {start:5.2f} s of each")
        complaints = [each for words in ASKED for each in _asked(ini, url, words, start)]
        complaints += _ended_in_two(ini, url)
    for complaint in complaints:
        print(f"WRONG: {complaint}")
    return 1 if complaints else 0


@contextmanager
def _database(kind: str, folder: str) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/million.sqlite"
        return
    server = {"postgresql": PostgreSQL, "mariadb": MariaDB}[kind]
    with server() as running, running.database() as url:
        yield url


def fill(url: str, rows: int) -> None:
    """Make a table of sessions that began in the last week; two of five are signed in."""
    create_table(url)
    engine = create_database_engine(url)
    now = SteadyClock()()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA cache_size = -2000000")
        for start in range(0, rows, BATCH):
            numbers = range(start, min(start + BATCH, rows))
            connection.exec_driver_sql("BEGIN")
            connection.execute(table.insert(), [_row(number, rows, now) for number in numbers])
            connection.exec_driver_sql("COMMIT")
        # As the servers do by themselves some minutes later.
        mysql = engine.dialect.name in ("mysql", "mariadb")
        connection.exec_driver_sql("ANALYZE TABLE sessions" if mysql else "ANALYZE")
    engine.dispose()


def _row(number: int, rows: int, now: int) -> dict[str, Any]:
    began = now - 7 * DAY * number // rows
    user = str(number // PER_USER) if number % 5 < 2 else None
    session = StoredSession(
        digest=os.urandom(32),
        manager="session",
        handle=new_handle(began),
        version=1,
        data=os.urandom(500),
        created_at=began,
        seen_at=began,
        deadline=began + 8 * DAY,
        expires_at=began + 8 * DAY,
        user_id=user,
        address=f"203.0.113.{number % 250}",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    )
    fields = {name: getattr(session, name) for name in StoredSession.__struct_fields__}
    return fields | {"sweep_at": session.expires_at}


def _took(ini: Path, url: str, words: Sequence[str]) -> float:
    """Seconds of a command, its start included: twice, since the first one reads files."""
    return min(_measured(ini, url, words)[1] for _ in range(2))


def _asked(ini: Path, url: str, words: Sequence[str], start: float) -> list[str]:
    """What is wrong with a command; prints what it took, its start included."""
    name = " ".join(words)
    status, took, processor, memory = _measured(ini, url, words)
    used = f"{took:5.2f} s, {processor:5.2f} s of the processor"
    print(f"  {name:24} {used} {memory / 1024**2:5.0f} MiB", flush=True)
    return _judged(name, status, took - start, memory)


def _measured(ini: Path, url: str, words: Sequence[str]) -> tuple[int, float, float, int]:
    """Exit status, seconds, seconds of the processor and bytes of a command."""
    launcher = [sys.executable, "-c", _LAUNCHER, str(COMMAND), str(ini), *words]
    done = subprocess.run(launcher, env=_environment(url), capture_output=True, check=True)
    status, took, processor, memory = json.loads(done.stdout)
    return status, took, processor, memory


def _judged(name: str, status: int, took: float, memory: int) -> list[str]:
    wrong = [f"{name}: exit status {status}"] if status else []
    wrong += [f"{name}: {took:.1f} s"] if took > SECONDS else []
    return wrong + ([f"{name}: {memory:,} bytes"] if memory > MEMORY else [])


def _start(ini: Path, url: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [str(COMMAND), str(ini), *words]
    return subprocess.Popen(command, env=_environment(url), stdout=subprocess.DEVNULL)


def _environment(url: str) -> dict[str, str]:
    return clean_environment({"DATABASE_URL": url, "PYTHONPATH": os.getcwd()})


def _ended_in_two(ini: Path, url: str) -> list[str]:
    """Interrupt `end --all`, and repeat it; what was done stays done."""
    before = _count(url)
    process = _start(ini, url, ("end", "--all", "--yes"))
    while _count(url) > before * 0.9:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    status = process.wait()
    between = _count(url)
    print(f"  end --all, interrupted: status {status}, {between:,} of {before:,} rows left")
    wrong = [] if status == 130 and 0 < between < before else [f"interrupted: {status}"]
    status, took, _, memory = _measured(ini, url, ("end", "--all", "--yes"))
    left = _count(url)
    print(f"  end --all, repeated      {took:5.0f} s {memory / 1024**2:5.0f} MiB, {left} rows left")
    wrong += [f"{left} rows left"] if left else []
    return wrong + _judged("end --all", status, 0, memory)


def _count(url: str) -> int:
    engine = create_database_engine(url)
    try:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar_one())
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
