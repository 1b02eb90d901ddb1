"""Lets clients work on shared sessions while servers and the database are killed; then checks.

    python -m tests.faults.checker --database postgresql --operations 100000 --kill-servers

The seed repeats what each client decides and when something is killed; how the threads and
processes interleave is up to the machine. Ends with status 1 if a promise was broken, and with 2
if the time was up before all was done.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter as Tally
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from sqlalchemy import select

from harness.servers.server import Server
from myapp.database import create_database_engine
from myapp.sessions import make_manager
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.settings import read_session_settings
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import digest
from myapp.sessions.sql.store import SqlStore
from tests.faults.checks import Times, check
from tests.faults.client import Browsers, Client, Counter
from tests.faults.cluster import KINDS, Cluster, Faults, Powers, database
from tests.faults.health import FLAT, Health, Memory
from tests.faults.history import (
    NO_LINEAGE,
    History,
    Operation,
    Outcome,
    Violation,
    writer_of,
)
from tests.faults.interrupts import INTERRUPTED
from tests.faults.server import (
    COOKIE,
    IDLE_TIMEOUT,
    LIMITED,
    MAX_PER_USER,
    MERGED,
    NOT_TOUCHED,
    TOUCH_INTERVAL,
    Note,
    User,
    counter_of,
    stamped,
)

TIMES: Final = Times(idle=IDLE_TIMEOUT, touch=TOUCH_INTERVAL, per_user=MAX_PER_USER)
SHOWN: Final = 3
LINES_SHOWN: Final = 60
"""So many violations of each kind are printed in full, the first ones."""
LOOKED_BACK: Final = 1.0
"""From so many seconds before a violation on, what the servers wrote is printed with it."""

POWERS: Final = tuple(each.name for each in fields(Powers))

_STAMP: Final = re.compile(r"\d+\.\d{4}(?= )")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is to be run."""

    database: str
    operations: int
    """Unless `minutes` say how long it goes on."""
    seed: str
    processes: int = 3
    clients: int = 8
    kill_servers: int = 0
    """How often, spread over the first half of the run: then they live on, and are watched."""
    kill_database: int = 0
    """How often, spread over the run."""
    forks: bool = False
    interrupts: bool = False
    leaps: bool = False
    minutes: float | None = None
    seconds: float = 1200

    def command(self) -> str:
        """The command that repeats it."""
        length = (
            f"--minutes {self.minutes:g}"
            if self.minutes is not None
            else f"--operations {self.operations}"
        )
        switched_on = [name for name in POWERS if getattr(self, name)]
        return (
            f"python -m tests.faults.checker --database {self.database}"
            f" {length} --seed {self.seed} --processes {self.processes}"
            f" --clients {self.clients} --kill-servers {self.kill_servers}"
            f" --kill-database {self.kill_database}"
            f"{''.join(f' --{name}' for name in switched_on)}"
        )

    def counter(self) -> Counter:
        """What says when it is over."""
        if self.minutes is not None:
            return Counter(None, 60 * self.minutes)
        return Counter(self.operations, self.seconds)


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run did and found."""

    run: Run
    seconds: float
    history: History
    faults: Faults
    complete: bool
    health: list[Health]
    memory: Memory
    violations: list[Violation] = field(default_factory=list)
    output: str = ""

    def text(self) -> str:
        """The figures, and the first violations in full."""
        operations = [each for each in self.history.operations if each.name != "scan"]
        outcomes = Tally(operation.outcome for operation in operations)
        events = Tally(event for operation in operations for event in operation.events)
        looks = [each.looks for each in operations if len(each.looks) == 2]
        changed = sum(after.live and before.differs(after) for before, after in looks)
        answered = sum(operation.live is not None for operation in operations)
        status = Tally(operation.status for operation in operations)
        lines = [
            f"repeat with          {self.run.command()}",
            f"operations           {len(operations)} in {self.seconds:.0f} s",
            f"  answered           {answered}",
            f"  done               {outcomes[Outcome.DONE]}",
            f"  refused or undone  {outcomes[Outcome.NOT_DONE]}",
            f"  outcome unknown    {outcomes[Outcome.UNKNOWN]}",
            f"sessions             {len({t.lineage for t in self.history.tokens.values()})}",
            f"tokens               {len(self.history.tokens)}",
            f"conflicts merged     {events['ConflictMerged']}",
            f"counted under a lock {sum(each.counted is not None for each in operations)}",
            f"sessions merged      {events[MERGED]}",
            f"  changed meanwhile  {changed}",
            f"  ended meanwhile    {sum(not after.live for _, after in looks)}",
            f"ended by the limit   {events[LIMITED]}",
            f"changes dropped      {events['ChangeDropped']}",
            f"not touched          {events[NOT_TOUCHED]}",
            f"  unavailable        {status[503]}",
            f"interrupted          {status[INTERRUPTED]}",
            f"told a wrong time    {sum(each.leapt for each in operations)}",
            f"servers killed       {self.faults.servers_killed}",
            f"databases killed     {self.faults.databases_killed}",
            *self._of_processes(),
            f"violations           {len(self.violations)} "
            f"{dict(Tally(each.rule for each in self.violations)) or ''}".rstrip(),
        ]
        for violation in self._shown():
            lines += [violation.in_full(), *self._logged_during(violation)]
        return "\n".join(lines)

    def _of_processes(self) -> list[str]:
        """What they took, and what they lost of it."""
        growth, mib = self.memory.growth().values(), 2**20
        grown = f"{min(growth) / mib:+.1f} to {max(growth) / mib:+.1f} MiB" if growth else "-"
        return [
            f"processes in the end {len(self.health)}",
            f"  connections        {sum(each.taken for each in self.health)}",
            f"  places lost        {sum(each.lost for each in self.health)}",
            f"largest process      {self.memory.largest() / mib:.0f} MiB",
            f"  grown when warm    {grown}, of {len(growth)} that lived long",
        ]

    def _logged_during(self, violation: Violation) -> list[str]:
        """What the servers wrote from just before its first operation to its last."""
        if not violation.proof:
            return []
        began = min(operation.started for operation in violation.proof) - LOOKED_BACK
        ended = max(operation.ended for operation in violation.proof)
        found = []
        written = 0.0
        for line in self.output.splitlines():
            stamp = _STAMP.match(line)
            # A traceback's lines have no time of their own.
            written = float(stamp[0]) if stamp else written
            if began <= written <= ended:
                found.append(f"  {line}")
        return found[-LINES_SHOWN:]

    def _shown(self) -> list[Violation]:
        by_rule: dict[str, list[Violation]] = {}
        for violation in self.violations:
            by_rule.setdefault(violation.rule, []).append(violation)
        return [violation for found in by_rule.values() for violation in found[:SHOWN]]


def carry_out(run: Run, running: Server | None = None) -> Report:
    """Run and check. `running` is a database server to use instead of a new one."""
    with (
        tempfile.TemporaryDirectory(prefix="myapp-faults-") as folder,
        database(run.database, running) as (url, servers),
    ):
        powers = Powers(**{name: getattr(run, name) for name in POWERS})
        cluster = Cluster(url, run.processes, Path(folder), powers)
        history, memory = History(), Memory()
        faults = Faults(cluster, servers, history, random.Random(f"{run.seed}-faults"))
        try:
            cluster.start()
            began = time.monotonic()
            counter = run.counter()
            _let_them_work(run, cluster, history, faults, counter, memory)
            took = time.monotonic() - began
            health = cluster.health()
        finally:
            cluster.stop()
        # What a killed server had sent is settled in the database by now, or within a moment.
        time.sleep(0.5)
        _look_into(url, history)
        report = Report(
            run=run, seconds=took, history=history, faults=faults, complete=counter.complete,
            health=health, memory=memory, output=cluster.output(),
        )  # fmt: skip
    report.violations = [*check(history, TIMES), *_check_processes(health, memory)]
    return report


def _check_processes(health: Sequence[Health], memory: Memory) -> Iterator[Violation]:
    """No place is lost in any pool, and nothing grows for ever."""
    for each in health:
        if each.lost:
            yield Violation("places", NO_LINEAGE, f"lost in the end: {each}", ())
    for process, bytes_ in memory.growth().items():
        if bytes_ > FLAT:
            text = f"process {process} has grown by {bytes_ / 2**20:.1f} MiB since it was warm"
            yield Violation("memory", NO_LINEAGE, text, ())


def _let_them_work(
    run: Run, cluster: Cluster, history: History, faults: Faults, counter: Counter, memory: Memory
) -> None:
    browsers, over = Browsers(run.clients), threading.Event()
    options = {"closes": run.forks, "leaps": run.leaps}
    clients = [
        Client(f"{run.seed}-{place}", cluster.ports, history, browsers, **options)
        for place in range(run.clients)
    ]
    threads = [threading.Thread(target=each.work, args=(counter,)) for each in clients]
    schedules = (_spread(run.kill_servers, 0.5), _spread(run.kill_database, 1))
    threads.append(threading.Thread(target=faults.work, args=(counter, *schedules)))
    watch = threading.Thread(target=memory.watch, args=(cluster.processes, over))
    watch.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    watch.join()


def _spread(times: int, until: float) -> list[float]:
    """At which parts of the run to do something so often."""
    return [until * place / (times + 1) for place in range(1, times + 1)]


def _look_into(url: str, history: History) -> None:
    """Read the tables, as if each token had been tried once more."""
    engine = create_database_engine(url)
    with engine.connect() as connection:
        history.notes = set(connection.scalars(select(Note.id)))
        history.users = set(connection.scalars(select(User.id)))
    engine.dispose()
    manager = make_manager(read_session_settings({"session.url": url}, {}), SqlStore(url))
    quiet, now = time.monotonic(), manager.kind.clock()
    rows = {row.digest: row for row in manager.store.iterate(COOKIE) if row.expires_at > now}
    manager.store.close()
    tokens = {digest(COOKIE, token): token for token in history.tokens}
    # What was merged elsewhere took its values along.
    moved = {operation.absorbs for operation in history.operations}
    known = {token.lineage for token in history.tokens.values()} - moved
    history.close(quiet, {token for key, token in tokens.items() if key in rows})
    # The moment by which it was judged what is live, and just after all that was unknown.
    moment = math.nextafter(quiet, math.inf)
    for key, token in tokens.items():
        _scan(history, manager, moment, rows.get(key), token, known)
    for key, row in rows.items():
        if key not in tokens:
            _scan(history, manager, moment, row, None, known)


def _scan(
    history: History,
    manager: SessionManager,
    now: float,
    row: StoredSession | None,
    token: str | None,
    known: Collection[int],
) -> None:
    """Add what one row shows to the history.

    A token that nobody was sent may still be that of a known session: its values tell which.
    """
    scan = Operation(
        number=-len(history.operations), name="scan", started=now, ended=now,
        outcome=Outcome.DONE, token=token or "(unknown)", live=row is not None,
    )  # fmt: skip
    content = manager.kind.codec.decode(row.data) if row is not None else None
    if row is not None and content is not None:
        scan.user, scan.values = row.user_id, stamped(content.values)
        scan.flash = [message for _, message in content.flash.get("", [])]
    stamps = [*scan.values.values(), *scan.flash]
    claimed = writer_of(stamps[0])[0] if stamps else NO_LINEAGE
    scan.lineage = history.lineage_of(token) if token else claimed
    if content is not None:
        scan.count = content.values.get(counter_of(scan.lineage), 0)
    if token or claimed in known:
        history.add(scan)


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", *KINDS], required=True)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kill-servers", type=int, nargs="?", const=30, default=0)
    parser.add_argument("--kill-database", type=int, nargs="?", const=15, default=0)
    for name in POWERS:
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--minutes", type=float, help="how long, instead of --operations")
    parser.add_argument("--seconds", type=float, default=1200, help="when to give up")
    report = carry_out(Run(**vars(parser.parse_args())))
    print(report.text(), flush=True)
    if not report.complete:
        print("the time was up before all was done")
    sys.exit(1 if report.violations else 0 if report.complete else 2)


if __name__ == "__main__":
    main()
