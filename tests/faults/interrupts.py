"""Interrupts in the middle of requests: what a job queue's signal or a greenlet's timeout raises.

The main thread is interrupted by a signal, which also ends the driver's waiting; any other thread
by the exception alone. Only lines of the package, and of the drivers below it, are hit: what else
an application is made of, Python's own locks included, need not stand it.
"""

from __future__ import annotations

import ctypes
import gc
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

import myapp.sessions

INTERRUPTED: Final = 504
"""The status of the answer to a request that was interrupted."""
PAUSE: Final = 0.3
"""Seconds from one interrupt of a process to the next, more or less."""

_PACKAGE: Final = str(Path(myapp.sessions.__file__).parent)
# Where a driver waits, and where a connection is made.
_DRIVERS: Final = (
    *("/psycopg/", "/pymysql/", "/socket.py", "/selectors.py"),
    "/myapp/bounded_psycopg.py",
)
# What stands in for lines of the package where a bug is planted.
_PLANTED: Final = ("/tests/faults/planting.py", "/tests/faults/bugs/")
_CONNECTING: Final = "/sqlalchemy/"
_OPENING: Final = "/sql/opening.py"
# What the garbage collector calls is called again by nobody; Python passes over its errors.
_FINAL: Final = "__del__"
_LATE: Final = 0.02  # seconds within which an exception arrives that is on its way
_TRIES: Final = 200

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Interrupted(BaseException):
    """Not an Exception, as KeyboardInterrupt and gevent's Timeout are not."""


class _Shot:
    """One request, which is interrupted once at most."""

    def __init__(self) -> None:
        self.fired = self.over = False


def may_hit(frame: FrameType | None) -> bool:
    """Whether a thread may be interrupted where it is now."""
    connecting = False
    while frame is not None and frame.f_code.co_name != _FINAL:
        file = frame.f_code.co_filename
        if file.startswith(_PACKAGE):
            return not connecting or file.endswith(_OPENING)
        if _CONNECTING in file:
            connecting = True
        elif not any(part in file for part in (*_DRIVERS, *_PLANTED)):
            return False
        frame = frame.f_back
    return False


class Interrupter:
    """A WSGI application whose requests are interrupted now and then, and then clean up."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app
        self._shots: dict[int, _Shot] = {}
        self._lock = threading.Lock()
        self._dice = random.SystemRandom()

    def start(self) -> None:
        """Begin, in the process that serves; called in its main thread."""
        # What there was before is not looked at after each interrupt.
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGALRM, self._on_signal)
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, if need be that it was interrupted."""
        shot = _Shot()
        try:
            self._shots[threading.get_ident()] = shot
            try:
                answer = self._app(environ, start_response)
            except Exception:
                self._disarm(shot)
                raise
            self._disarm(shot)
            return answer
        except Interrupted:
            self._forget(shot)
            error = sys.exc_info()
        _clean_up(environ)
        start_response(f"{INTERRUPTED} Interrupted", [("Content-Type", "text/plain")], error)
        del error
        # What the traceback held may lie in a cycle.
        gc.collect()
        return [b""]

    def _disarm(self, shot: _Shot) -> None:
        self._forget(shot)
        until = time.monotonic() + _LATE
        # One that is on its way arrives here, unless somebody has swallowed it.
        while shot.fired and time.monotonic() < until:
            time.sleep(0)

    def _forget(self, shot: _Shot) -> None:
        with self._lock:
            shot.over = True
        self._shots.pop(threading.get_ident(), None)

    def _work(self) -> None:
        while True:
            time.sleep(self._dice.uniform(0, 2 * PAUSE))
            for _ in range(_TRIES):
                if self._try_one():
                    break
                time.sleep(self._dice.uniform(0, 0.001))

    def _try_one(self) -> bool:
        """Interrupt any request; whether one was where it may be hit."""
        shots = list(self._shots.items())
        if not shots:
            return False
        thread, shot = self._dice.choice(shots)
        with self._lock:
            if shot.over or shot.fired or not may_hit(sys._current_frames().get(thread)):
                return False
            if thread == threading.main_thread().ident:
                signal.pthread_kill(thread, signal.SIGALRM)
            else:
                shot.fired = True
                raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
                raise_in(ctypes.c_ulong(thread), ctypes.py_object(Interrupted))
        return True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        shot = self._shots.get(threading.get_ident())
        if shot is not None and not shot.fired and not shot.over and may_hit(frame):
            shot.fired = True
            raise Interrupted


def _clean_up(environ: dict[str, Any]) -> None:
    """Abort the request's transaction, which pyramid_tm leaves to whoever catches the interrupt."""
    manager = environ.get("tm.manager")
    with suppress(Exception):
        if manager is not None:
            manager.abort()
