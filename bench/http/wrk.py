"""wrk: so many connections, each of which asks again as soon as it has its answer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from harness.servers.ports import LOOPBACK
from harness.servers.programs import WRK

CONNECTIONS: Final = 16
_SCRIPT: Final = Path(__file__).with_name("wrk.lua")


def ask(port: int, path: str, cookies: Path, seconds: int) -> dict[str, Any]:
    """Requests per second and the quantiles of their times in milliseconds, for one path.

    Raises ServerMissing without wrk, and RuntimeError if nothing was answered.
    """
    command: list[str | Path] = [
        *(WRK.find(), "--threads", "1", "--connections", str(CONNECTIONS)),
        *("--duration", f"{seconds}s", "--script", _SCRIPT, f"http://{LOOPBACK}:{port}{path}"),
        *("--", cookies),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 30, check=False
    )
    if done.returncode:
        raise RuntimeError(f"wrk failed:\n{done.stdout}{done.stderr}")
    return parse(done.stdout)


def parse(output: str) -> dict[str, Any]:
    """The result within wrk's output: its last line."""
    found = json.loads(output.splitlines()[-1])
    if not found["requests"]:
        raise RuntimeError("nothing was answered")
    return {
        "requests": found["requests"],
        "rate": found["requests"] / found["seconds"],
        "p50": found["p50"],
        "p99": found["p99"],
        "failed": found["failed"],
    }
