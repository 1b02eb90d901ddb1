"""A process that forks, for the tests: names what its children share with it.

python -m tests.sessions.forking URL
"""

import ctypes
import linecache
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.waiting import wait_until
from myapp.models.probe import Probe
from myapp.sessions.core.sweep import Sweeper
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import NOW, a_session

Fork = Callable[[], int]


def in_all(task: Callable[[], bool], fork: Fork, children: int = 3) -> bool:
    """Whether a task succeeds in the parent and in its children, at the same time."""
    pids = []
    for _ in range(children):
        pid = fork()
        if pid == 0:
            succeeded = False
            try:
                succeeded = task()
            finally:
                os._exit(0 if succeeded else 1)
        pids.append(pid)
    return all([task(), *map(ended_well, pids)])


def ended_well(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def is_parked(thread: threading.Thread | None) -> bool:
    """Whether a thread sleeps on a lock, and does not wait for its turn to run: C's fork would copy
    a lock of the interpreter's that it holds just then, which is its business and not ours.
    """
    frame = sys._current_frames().get(thread.ident or 0) if thread else None
    if thread is None or frame is None or frame.f_code is not threading.Condition.wait.__code__:
        return False
    if "waiter.acquire(" not in linecache.getline(frame.f_code.co_filename, frame.f_lineno):
        return False
    # It has come that far, and nobody wakes it: if the kernel lets it sleep now, it does so there.
    stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


def connections(url: str, fork: Fork) -> bool:
    """All read through one store object, which had a connection before the fork."""
    store = SqlStore(url)
    rows = [a_session() for _ in range(20)]
    for row in rows:
        store.insert(row)

    def each_sees_its_own() -> bool:
        with ThreadPoolExecutor(2) as threads:
            found = threads.map(lambda row: list(store.load([row.digest])), rows * 20)
            return list(found) == [[row] for row in rows * 20]

    return in_all(each_sees_its_own, fork)


def ends(url: str, fork: Fork) -> bool:
    """A child that uses the store and ends in good order leaves the parent's connection open."""
    store = SqlStore(url)
    row = a_session()
    store.insert(row)
    (mine,) = store._pool._idle
    child = fork()
    if child == 0:
        sys.exit(0 if store.load([row.digest]) == [row] else 1)
    if not ended_well(child):
        return False
    mine.cursor.execute("SELECT 1")
    return store.load([row.digest]) == [row] and list(store._pool._idle) == [mine]


def sweeper(url: str, fork: Fork) -> bool:
    """Each process has a thread of its own, once it asks for one."""
    made = Sweeper(SqlStore(url), lambda: NOW, interval=60_000)
    made.ensure_running()
    started = made.thread
    wait_until(lambda: is_parked(started), "the sweeper's first pause")
    parent = os.getpid()

    def runs() -> bool:
        if made.process != os.getpid():
            made.ensure_running()
        mine = made.thread
        alive = mine is not None and mine.is_alive()
        return alive and (started is mine) is (os.getpid() == parent)

    return in_all(runs, fork)


def probe(url: str, fork: Fork) -> bool:
    """A child does not wait for the answer to its parent's question."""
    asked: list[threading.Thread] = []
    released, parent = threading.Event(), os.getpid()

    def ask() -> None:
        if os.getpid() == parent:
            asked.append(threading.current_thread())
            released.wait(60)

    made = Probe(ask, "cannot be reached", patience=50)
    waiting = threading.Thread(target=made.trouble)
    waiting.start()
    wait_until(lambda: is_parked(waiting) and any(map(is_parked, asked)), "the question")
    child = fork()
    if child == 0:
        os._exit(0 if made.trouble() is None else 1)
    answered = ended_well(child)
    released.set()
    waiting.join()
    return answered


FORKS: dict[str, Fork] = {
    "python": os.fork,
    # As uWSGI does: what Python would do before and after is not done.
    "c": ctypes.PyDLL(None).fork,
}
TASKS = {"connections": connections, "ends": ends, "sweeper": sweeper, "probe": probe}

if __name__ == "__main__":
    shared = [
        f"{name} with a fork of {whose}"
        for whose, fork in FORKS.items()
        for name, task in TASKS.items()
        if not task(sys.argv[1], fork)
    ]
    sys.exit(", ".join(shared) or 0)
