"""One child process of the tests: started, watched, ended.

Only processes started here are ever signalled, each by its own id, and none outlives the tests:
not even tests that were killed themselves.
"""

import atexit
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.waiting import wait_until

# Reads until the tests say that all is over. An end of input without that word means that the
# tests died, and then somebody else has to end the process and remove its folder.
_GUARD = """
read -r word && exit
kill -s "$1" "$2"
for turn in $(seq 100); do kill -0 "$2" 2>/dev/null || break; sleep 0.1; done
[ -z "$3" ] || rm -rf -- "$3"
"""


class Child:
    """A running process whose output goes to a file."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        account: pwd.struct_passwd | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        remove: Path | None = None,
    ) -> None:
        """Start the command in ``folder``; ``remove`` is what goes if the tests are killed."""
        self.log = log
        self._stop_signal = stop_signal
        with log.open("ab") as output:
            # A session of its own: an interrupt at the keyboard is for the tests, which then end
            # the process in their own order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
                user=account and account.pw_uid,
                group=account and account.pw_gid,
                extra_groups=account and [],
            )
        self._guard = _guard(self._process.pid, stop_signal, remove)
        self._owner = os.getpid()
        atexit.register(self._end_with_the_tests)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def family(self) -> list[int]:
        """The ids of the process and of all that it has started, as far as they live."""
        return [self.pid, *_descendants(self.pid)] if self.running else []

    def output(self) -> str:
        """Return what it has written so far."""
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float) -> int:
        """Return its exit status; raise subprocess.TimeoutExpired when it does not end."""
        status = self._process.wait(seconds)
        self._release()
        return status

    def stop(self, seconds: float = 30) -> None:
        """Ask it to end, and make it end when it does not."""
        self._process.send_signal(self._stop_signal)
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it on the spot with all its children, as if its machine were gone."""
        children = _descendants(self.pid) if self.running else []
        # The parent goes first, so that it starts no new child in between.
        self._process.kill()
        self.wait(30)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        wait_until(lambda: not any(map(_alive, children)), f"the end of the children of {self.pid}")

    def _end_with_the_tests(self) -> None:
        # A test may fork: the end of its child is not the end of the tests.
        if os.getpid() == self._owner:
            self.stop()

    def _release(self) -> None:
        atexit.unregister(self._end_with_the_tests)
        if self._guard.poll() is None:
            self._guard.communicate(b"over\n")


def run_as(
    account: pwd.struct_passwd | None,
    command: Sequence[str | Path],
    *,
    folder: Path,
    environment: Mapping[str, str],
) -> None:
    """Run a command to its end as the account; raise RuntimeError with its output if it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        extra_groups=account and [],
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def _guard(pid: int, stop_signal: signal.Signals, remove: Path | None) -> subprocess.Popen[bytes]:
    words = ["guard", stop_signal.name.removeprefix("SIG"), str(pid), str(remove or "")]
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def _descendants(pid: int) -> list[int]:
    parents = {int(entry.name): _status(int(entry.name)) for entry in _processes()}
    children = [child for child, (_, parent) in parents.items() if parent == pid]
    return children + [grandchild for child in children for grandchild in _descendants(child)]


def _processes() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _alive(pid: int) -> bool:
    state, _ = _status(pid)
    # A zombie has let go of all it had; it only waits for somebody to ask how it ended.
    return state not in ("", "Z", "X")


def _status(pid: int) -> tuple[str, int]:
    """Return a process's state letter and its parent, or an empty letter and 0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "", 0
    # The name in parentheses may hold anything, even a parenthesis.
    state, parent, *_ = text.rpartition(")")[2].split()
    return state, int(parent)
