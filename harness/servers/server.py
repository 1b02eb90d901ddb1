"""What the database servers of the tests have in common: a folder, a port and a life.

A server keeps its port and its data through ``stop``, ``kill`` and ``start``, until ``close``.
"""

import os
import pwd
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from uuid import uuid4

from harness.servers.certificates import Authority
from harness.servers.ports import LOOPBACK, free_port
from harness.servers.process import Child
from harness.waiting import wait_until

# A message in the server's own language would differ from machine to machine.
ENVIRONMENT = {**os.environ, "LC_ALL": "C"}


# Two workers with two servers each, and some room to live in.
_ROOM = 2 * 1024**3


class Server(ABC):
    """A database server on a loopback port, for the time of a ``with`` block."""

    # Servers refuse to run as root: root lends them their own account.
    account_name: ClassVar[str]
    tls_host = LOOPBACK
    """The host that its certificate names, if it has one."""

    def __init__(self, base: Path | None = None, *, tls: Authority | None = None) -> None:
        """Find the server's programs, or raise ServerMissing; nothing is started yet.

        The data go into a new folder in `base`, which the server's account may pass through, else
        where it is fastest. `tls`: who signs its certificate, which names a host of `tls_host`.
        """
        self.port, self._authority = 0, tls
        self._base = base
        self._find_programs()
        self.account = _account(self.account_name)
        self._folder: Path | None = None
        self._child: Child | None = None

    @property
    def folder(self) -> Path:
        """The folder with the data and the log; it exists within the ``with`` block."""
        if self._folder is None:
            raise RuntimeError(f"{type(self).__name__} is used outside its with block")
        return self._folder

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._child is not None and self._child.running

    def __enter__(self) -> Self:
        """Create the data and start the server."""
        self._folder = _new_folder(type(self).__name__.lower(), self.account, self._base)
        try:
            self._create_data()
            self._start_on_a_free_port()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the server and remove its data."""
        self.close()

    def certificate(self) -> tuple[Path, Path] | None:
        """The certificate and the key of the server, in its folder and its account's own."""
        if self._authority is None:
            return None
        copies = []
        for path in self._authority.issue(self.tls_host):
            copy = Path(shutil.copy(path, self.folder))
            copy.chmod(0o600)
            if self.account is not None:
                os.chown(copy, self.account.pw_uid, self.account.pw_gid)
            copies.append(copy)
        return copies[0], copies[1]

    def start(self) -> None:
        """Start the server on its port and data, and return when it answers; no-op if it runs."""
        if self.running:
            return
        self._child = child = self._spawn()
        wait_until(lambda: not child.running or self._answers(), f"an answer of {self!r}")
        if not child.running:
            child.wait(0)
            last_lines = "\n".join(child.output().splitlines()[-20:])
            raise RuntimeError(f"{self!r} did not start:\n{last_lines}")

    def stop(self) -> None:
        """Shut the server down in good order."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Kill the server: what it acknowledged is on disk, and its clients learn nothing."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """End the server for good and remove its folder."""
        # A killed server would leave shared memory behind.
        self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Give the URL of a new, empty database, which is dropped in the end."""
        # A test of an outage may have left the server down.
        self.start()
        name = f"test_{uuid4().hex}"
        self.create_database(name)
        try:
            yield self.url(name)
        finally:
            self.start()
            self.drop_database(name)

    @abstractmethod
    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""

    @abstractmethod
    def create_database(self, name: str) -> None:
        """Create an empty database."""

    @abstractmethod
    def drop_database(self, name: str) -> None:
        """Drop a database, even if somebody is still connected to it."""

    @abstractmethod
    def _find_programs(self) -> None: ...

    @abstractmethod
    def _create_data(self) -> None: ...

    @abstractmethod
    def _spawn(self) -> Child: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _start_on_a_free_port(self) -> None:
        # Another run of the tests may take the port between our look and the server's.
        for last in (False, False, True):
            self.port = free_port()
            try:
                return self.start()
            except RuntimeError as error:
                if last or "in use" not in str(error):
                    raise

    def __repr__(self) -> str:
        """Return the name and the port."""
        return f"<{type(self).__name__} on port {self.port}>"


def fastest_folder(account: pwd.struct_passwd | None = None) -> Path:
    """A temporary folder that the account may pass through, in memory if there is room."""
    # Creating a database copies hundreds of small files: in memory ten times as fast.
    memory, ours = Path("/dev/shm"), Path(tempfile.gettempdir()).resolve()
    if memory.is_dir() and _has_room(memory):
        return memory
    if account is None or all(folder.stat().st_mode & 0o001 for folder in (ours, *ours.parents)):
        return ours
    # TMPDIR may be private to root.
    return Path("/tmp")


def _has_room(folder: Path) -> bool:
    """Also for programs: a container may forbid to run any there."""
    return shutil.disk_usage(folder).free > _ROOM and not os.statvfs(folder).f_flag & os.ST_NOEXEC


def _account(name: str) -> pwd.struct_passwd | None:
    return pwd.getpwnam(name) if os.geteuid() == 0 else None


def _new_folder(name: str, account: pwd.struct_passwd | None, base: Path | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"myapp-{name}-", dir=base or fastest_folder(account)))
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder
