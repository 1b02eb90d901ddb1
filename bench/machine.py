"""Where and when something was measured: what each result is kept with."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from bench import ROOT

PACKAGES: Final = (
    "pyramid",
    "SQLAlchemy",
    "psycopg",
    "PyMySQL",
    "msgspec",
    "Django",
    "Flask-Session",
    "Beaker",
    "pyramid_session_redis",
    "waitress",
    "gunicorn",
    "granian",
)


def describe() -> dict[str, Any]:
    """The machine, the versions, the date and the commit."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
    }


def machine() -> dict[str, Any]:
    """Processor, memory and system, without any name of the host."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(_memory() / 2**30, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
    }


def versions() -> dict[str, str]:
    """Python, SQLite, Go and the packages that are installed; database servers say their own."""
    import sqlite3

    found = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if go := _output("go", "env", "GOVERSION"):
        found["Go"] = go.removeprefix("go")
    return found


def commit() -> str:
    """The commit that was measured, with a plus sign where files differ from it."""
    found = _output("git", "rev-parse", "--short=12", "HEAD")
    if not found:
        return "unknown"
    # What a measurement itself writes does not change what is measured.
    changed = _output("git", "status", "--porcelain", "--", ".", ":!docs")
    return f"{found}+" if changed else found


def _output(*command: str) -> str:
    """What a program says; nothing where it is not installed."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def _processor() -> str:
    """The processor's name, as Linux has it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line)
    return next(names, platform.machine())


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
