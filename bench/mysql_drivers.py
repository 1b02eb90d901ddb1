"""What requests cost with mysqlclient beside PyMySQL: `python -m bench.mysql_drivers`.

Counts the instructions of the application's process, the driver included and MariaDB excluded.
They are the same on a busy machine, which times are not. Needs MariaDB, mysqlclient and valgrind.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.contender import Contender, Running
from harness.servers.mariadb import MariaDB

DRIVERS: Final = ("pymysql", "mysqldb")
CONTENDERS: Final = {"LIMIT": "bench.contenders.limit", "myapp": "bench.contenders.myapp"}
WORKS: Final = ("read", "write", "first")
ROWS: Final = 100
WARM_UP: Final = 20
CALLS: Final = 200


def main() -> None:
    """Print a line for each contender and work."""
    print(f"{'':12}{'PyMySQL':>12}{'mysqlclient':>14}{'ratio':>8}")
    with MariaDB() as server:
        for name, module in CONTENDERS.items():
            counted = [_count(server, module, driver) for driver in DRIVERS]
            for work, plain, compiled in zip(WORKS, *counted, strict=True):
                ratio = compiled / plain
                print(f"{name:6}{work:6}{plain:12,.0f}{compiled:14,.0f}{ratio:8.2f}", flush=True)


def _count(server: MariaDB, module: str, driver: str) -> Sequence[float]:
    """Instructions of a call of each work."""
    with server.database() as url, tempfile.TemporaryDirectory(prefix="myapp-bench-") as folder:
        counts = Path(folder) / "counts"
        callgrind = ("--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={counts}")
        python = ("{python}", "-m", module, "{url}", "{rows}")
        contender = Contender(
            name=driver, command=("valgrind", "-q", *callgrind, *python), databases=("mariadb",)
        )
        with Running(contender, url.replace("pymysql", driver), ROWS) as running:
            for work in WORKS:
                running.run(work, WARM_UP)
            # Only from here on: the start would take a minute.
            _control(running, "--instr=on")
            return [_count_one(running, work, counts) for work in WORKS]


def _count_one(running: Running, work: str, counts: Path) -> float:
    running.run(work, 1)
    # What was counted goes to a file of its own, and the count begins again.
    _control(running, "--dump")
    running.run(work, CALLS)
    _control(running, "--dump")
    newest = max(counts.parent.glob("counts.*"), key=lambda path: int(path.suffix[1:]))
    found = re.search(r"^summary: (\d+)", newest.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"callgrind counted nothing of {work}")
    return int(found[1]) / CALLS


def _control(running: Running, order: str) -> None:
    subprocess.run(["callgrind_control", order, str(running.pid)], check=True, capture_output=True)


if __name__ == "__main__":
    main()
