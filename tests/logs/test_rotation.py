"""The log of a real server in a file that is rotated, as docs/how-to/logs.md says."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

from harness.processes import ROOT, Pserve
from harness.waiting import wait_until

PAGE = ROOT / "docs" / "how-to" / "logs.md"


def handler() -> str:
    """The lines of the page that write into a file."""
    (section,) = re.findall(r"```ini\n(\[handler_console\]\n.*?)```", PAGE.read_text(), re.DOTALL)
    return str(section)


def test_a_rotated_file_is_opened_again(tmp_path: Path) -> None:
    """O5: no line is lost, no signal is needed, and the lines are JSON by one variable."""
    log = tmp_path / "myapp.log"
    text = (ROOT / "development.ini").read_text()
    lines = handler().replace("/var/log/myapp/myapp.log", str(log))
    text = re.sub(r"\[handler_console\]\n.*?\n\n", f"{lines}\n", text, flags=re.DOTALL)
    ini = tmp_path / "source" / "development.ini"
    ini.parent.mkdir()
    ini.write_text(text)
    environment = {"LOGS_FORMAT": "json", "LOGS_ACCESS": "true"}
    with Pserve(ini, tmp_path, environment=environment) as server:
        ask(server, "/health")
        rotated = log.rename(tmp_path / "myapp.log.1")
        ask(server, "/")
        wait_until(log.exists, "the new file")
    assert "/health" in paths(rotated)
    assert paths(log) == ["/"]


def ask(server: Pserve, path: str) -> None:
    """Ask for a page."""
    urllib.request.urlopen(f"{server.url}{path}", timeout=60).close()


def paths(log: Path) -> list[str]:
    """The paths of the requests in a log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line["path"] for line in lines if line["message"] == "request"]
