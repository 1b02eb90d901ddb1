"""A fresh Debian 13 in a folder, for a test that installs the project as an operator does.

What the tests do there ends with their commands: each runs among processes and mounts of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.processes import ROOT

FOLDER: Final = ROOT / ".debian"
_BASE: Final = FOLDER / "trixie"
_DONE: Final = FOLDER / "trixie.done"
_ENTER: Final = """
set -e
root=$1; shift
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"
exec chroot "$@" "$root" /bin/sh -exc "$script"
"""
# It may lack the way to Python's packages: they are fetched here, and installed from a folder.
_WHEELS: Final = "wheels"
_PIP: Final = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"/{_WHEELS}", "PIP_CONFIG_FILE": "/dev/null"}
_PYTHON: Final = "3.13"


class DebianMissing(RuntimeError):
    """It can't be had here; the message is one line that says why."""


class Debian:
    """A root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(
        self,
        script: str,
        *,
        network: bool = False,
        user: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a script of the shell there, and answer its output; AssertionError if it fails.

        Without `network` it has a loopback of its own: ports that are taken here are free there.
        """
        alone = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
        ]
        loopback = [] if network else ["ip", "link", "set", "lo", "up"]
        enter = f"{' '.join(loopback)}\n{_ENTER}" if loopback else _ENTER
        as_user = [f"--userspec={user}:{user}"] if user is not None else []
        words = [*alone, *([] if network else ["--net"]), "/bin/sh", "-c", enter, "enter"]
        given = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [*words, str(self.root), *as_user],
            env={**given, **_PIP, "script": script, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
        return done.stdout

    def copy_project(self, folder: str, names: list[str] | None = None) -> None:
        """Copy what git knows of the project there, or only these files and folders."""
        there = self.root / folder
        there.mkdir(parents=True, exist_ok=True)
        known = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.check_output([*known, "--", *(names or [])], cwd=ROOT, text=True)
        for name in filter(None, listed.split("\0")):
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, there / name)


@contextmanager
def fresh_debian() -> Iterator[Debian]:
    """A copy of a new installation, removed in the end; raises DebianMissing."""
    _prepare()
    root = FOLDER / f"run-{os.getpid()}"
    try:
        subprocess.run(["cp", "-a", str(_BASE), str(root)], check=True)
        shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
        _fetch_wheels(root / _WHEELS)
        yield Debian(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _fetch_wheels(folder: Path) -> None:
    """What is locked for production, for the Python of that Debian."""
    words = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    words += ["--require-hashes", "--requirement", str(ROOT / "requirements.txt")]
    words += ["--python-version", _PYTHON, "--only-binary", ":all:", "--dest", str(folder)]
    subprocess.run([sys.executable, *words], check=True)


def _prepare() -> None:
    if _DONE.exists():
        return
    if os.geteuid() != 0:
        raise DebianMissing("only root can make a folder with Debian 13")
    if shutil.which("debootstrap") is None:
        raise DebianMissing("debootstrap is not installed: apt-get install -y debootstrap")
    FOLDER.mkdir(exist_ok=True)
    # What was left half done can't be continued.
    shutil.rmtree(_BASE, ignore_errors=True)
    boot = ["debootstrap", "--variant=minbase", "trixie", str(_BASE)]
    if subprocess.run(boot, check=False, stdout=subprocess.DEVNULL).returncode:
        raise DebianMissing("Debian 13 could not be installed: debootstrap failed")
    # Packages are not to start their servers.
    policy = _BASE / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    _DONE.touch()
