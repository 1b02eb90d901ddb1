"""The systemd units in deploy/, as far as they can be tried without systemd."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from harness.processes import ROOT
from harness.servers.programs import SYSTEMD, ServerMissing, skip_or_fail

UNITS: Final = ROOT / "deploy" / "systemd"
FOLDER: Final = "/srv/myapp"
EXPOSED_AT_MOST: Final = 20
"""In tenths, of systemd's measure: 2.0 of 10."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copies, with an instance of the template and programs where the units look for them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("pserve", "myapp-sessions"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    for unit in UNITS.iterdir():
        text = unit.read_text("utf-8").replace(f"{FOLDER}/.venv", str(tmp_path))
        (tmp_path / unit.name.replace("@", "@6543")).write_text(text)
    return tmp_path


def analyzed(folder: Path, *words: str) -> str:
    """What systemd-analyze says of units there; it must find no fault."""
    try:
        program = SYSTEMD.find()
    except ServerMissing as missing:
        skip_or_fail(missing)
    done = subprocess.run(
        [program, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_systemd_understands_every_line(units: Path) -> None:
    """O4: no unknown word, no section in the wrong place, nothing that is to be started missing."""
    names = [f"./{unit.name}" for unit in units.glob("myapp*.*")]
    assert len(names) == len(list(UNITS.iterdir()))
    assert analyzed(units, "verify", *names) == ""


def test_a_server_that_was_broken_into_can_do_little(units: Path) -> None:
    """O2: systemd's own measure of what a unit leaves open stays low."""
    limit = f"--threshold={EXPOSED_AT_MOST}"
    analyzed(units, "security", "--offline=true", limit, "./myapp@6543.service")


def test_the_server_has_time_to_finish_before_it_is_killed() -> None:
    """O4: TimeoutStopSec is longer than the graceful_timeout of production.ini."""
    unit = (UNITS / "myapp@.service").read_text("utf-8")
    ini = (ROOT / "production.ini").read_text("utf-8")
    stops = int(unit.partition("\nTimeoutStopSec=")[2].split()[0])
    ends = int(ini.partition("graceful_timeout = ")[2].split("s")[0])
    assert stops > ends
