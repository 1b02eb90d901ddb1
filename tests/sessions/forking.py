"""A process that forks, for the tests: exits with 0 if parent and child each have their own.

python -m tests.sessions.forking sweeper|connections URL
"""

import os
import sys
from collections.abc import Callable

from myapp.sessions.core.sweep import Sweeper
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import NOW, a_session


def in_both(task: Callable[[], bool]) -> bool:
    """Whether a task succeeds in the parent and in a forked child, at the same time."""
    child = os.fork()
    if child == 0:
        succeeded = False
        try:
            succeeded = task()
        finally:
            os._exit(0 if succeeded else 1)
    succeeded = task()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and succeeded


def connections(url: str) -> bool:
    """Parent and child read through one store object, which had a connection before the fork."""
    store = SqlStore(url)
    rows = [a_session() for _ in range(20)]
    for row in rows:
        store.insert(row)
    return in_both(lambda: all(store.load([row.digest]) == [row] for row in rows * 20))


def sweeper(url: str) -> bool:
    """Each process has a thread of its own, once it asks for one."""
    made = Sweeper(SqlStore(url), lambda: NOW, interval=60_000)
    made.ensure_running()
    started = made.thread
    parent = os.getpid()

    def runs() -> bool:
        inherited = started
        made.ensure_running()
        mine = made.thread
        alive = mine is not None and mine.is_alive()
        return alive and (inherited is mine) is (os.getpid() == parent)

    return in_both(runs)


if __name__ == "__main__":
    sys.exit(0 if {"connections": connections, "sweeper": sweeper}[sys.argv[1]](sys.argv[2]) else 1)
