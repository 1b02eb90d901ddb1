"""An interrupt between any two lines: what a signal, or a greenlet's timeout, may raise there."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import myapp.sessions.sql

FOLDER = str(Path(myapp.sessions.sql.__file__).parent)
# What the garbage collector calls is called again by nobody; Python passes over its errors.
_FINAL = "__del__"


class Interrupt(BaseException):
    """Not an Exception, as KeyboardInterrupt and gevent's Timeout are not."""


class Interrupter:
    """Raises Interrupt before the line of this number, of those that run in these folders."""

    def __init__(self, number: int, folders: tuple[str, ...] = (FOLDER,)) -> None:
        self._left, self._folders = number, folders
        self.place = ""
        """Where it was raised, once it was."""

    def run(self, task: Callable[[], object]) -> None:
        """Run a task in this thread; returns when it has ended, one way or the other."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            task()
        except Interrupt:
            assert self.place
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        caller = frame.f_back.f_code.co_name if frame.f_back else ""
        ours = frame.f_code.co_filename.startswith(self._folders)
        final = _FINAL in (frame.f_code.co_name, caller)
        return self._step if ours and not final else None

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and not self.place:
            self._left -= 1
            if self._left < 0:
                self.place = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                raise Interrupt(self.place)
        return self._step


def interrupted_everywhere(
    task: Callable[[], object],
    check: Callable[[str], None],
    folders: tuple[str, ...] = (FOLDER,),
) -> int:
    """Interrupt a task before each of its lines in turn; how many there are. `check` is called
    after each, with the place.
    """
    number = 0
    while True:
        interrupter = Interrupter(number, folders)
        interrupter.run(task)
        if not interrupter.place:
            return number
        check(interrupter.place)
        number += 1
