"""Installs what the tests need from the system: ``python -m harness.servers.install``.

With the word ``web`` it installs what `make test/servers` needs beside that.

It never fails the run: what can't be installed is named with its command, and the tests say the
rest. It must go on working with the standard library and pytest alone.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable

from harness.servers.programs import PROGRAMS, WEB_PROGRAMS, Program


def main(programs: Iterable[Program] = PROGRAMS) -> None:
    """Install every missing program, or say which command does."""
    missing = [program for program in programs if not program.installed]
    if not missing:
        return
    prefix = _privilege()
    if prefix is None:
        _tell(missing)
        return
    # A fresh machine has no package lists yet.
    _run([*prefix, "apt-get", "update"])
    for program in missing:
        _run([*prefix, *program.install])
    _tell([program for program in missing if not program.installed])


def _privilege() -> list[str] | None:
    """Return the words before a command that make it root's, or None where we may not."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _succeeds(["sudo", "--non-interactive", "true"]):
        # sudo drops the environment, so that the answer to questions goes through env.
        return ["sudo", "--non-interactive", "env", "DEBIAN_FRONTEND=noninteractive"]
    return None


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: list[str]) -> None:
    print("+", *command, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)


def _tell(missing: list[Program]) -> None:
    for program in missing:
        command = " ".join(program.install)
        print(
            f"{program.name} is missing, so what needs it is left out; install it with: {command}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main(WEB_PROGRAMS if sys.argv[1:] == ["web"] else PROGRAMS)
