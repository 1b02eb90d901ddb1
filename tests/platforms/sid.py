"""Debian sid in a folder: newer databases and a newer Python than the machine's own.

Two folders, since Debian lets MariaDB and MySQL not be installed together. A command runs in one of
them with the project at its usual path, by mounts that end with the command.
"""

import os
import shutil
import subprocess
from pathlib import Path

from harness.processes import ROOT

FOLDER = ROOT / ".sid"
_BASE = "python3,python3-venv,ca-certificates,git,make"
WITH_POSTGRESQL = "mariadb"
PACKAGES = {
    WITH_POSTGRESQL: ("postgresql", "mariadb-server", "pgbouncer"),
    "mysql": ("mysql-server",),
}

# Both ends see the same files: the tests' servers keep their data in memory or in /tmp.
_ENTER = """
set -e
root=$1 project=$2; shift 2
for place in /dev /proc /sys /tmp "$project"; do
    mkdir -p "$root$place"
    mount --rbind "$place" "$root$place"
done
exec chroot "$root" /bin/sh -c 'cd "$1"; shift; exec "$@"' sh "$project" "$@"
"""
# What is installed asks /proc about itself. It is not to see the machine's /dev, or change it.
_INSTALL = 'mount -t proc proc "$1/proc" && exec chroot "$@"'
_UNSHARED = ("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c")


class SidMissing(RuntimeError):
    """It can't be had here; the message is one line that says why."""


def entered(name: str) -> tuple[str, ...]:
    """The words before a command that is to run in the folder of that name."""
    return (*_UNSHARED, _ENTER, "enter", str(FOLDER / name), str(ROOT))


def prepare(name: str) -> None:
    """Make the folder of that name, unless it is there; raise SidMissing where that can't be."""
    done = FOLDER / f"{name}.done"
    if done.exists():
        return
    if os.geteuid() != 0:
        raise SidMissing("only root can make a folder with Debian sid")
    if shutil.which("debootstrap") is None:
        raise SidMissing("debootstrap is not installed: apt-get install -y debootstrap")
    try:
        _make(FOLDER / name, PACKAGES[name])
    except subprocess.CalledProcessError as error:
        raise SidMissing(f"Debian sid could not be installed: {error.cmd[0]} failed") from error
    done.touch()


def _make(folder: Path, packages: tuple[str, ...]) -> None:
    FOLDER.mkdir(exist_ok=True)
    if folder.exists():
        # What was left half done can't be continued.
        shutil.rmtree(folder)
    boot = ["debootstrap", "--variant=minbase", f"--include={_BASE}", "sid", str(folder)]
    subprocess.run(boot, check=True, stdout=subprocess.DEVNULL)
    # The packages' own servers are not to start.
    policy = folder / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    install = [*_UNSHARED, _INSTALL, "install", str(folder)]
    install += ["apt-get", "install", "-yq", "--no-install-recommends"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*install, *packages], check=True, env=environment, stdout=subprocess.DEVNULL)
