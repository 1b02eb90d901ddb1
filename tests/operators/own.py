"""What the tests of `audit` ask of an application of one's own, be it with a feature or without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from myapp.scripts.sessions import cli
from tests.command_line import called
from tests.sessions.app import create_table

Lines = dict[str, dict[str, Any]]
"""What `audit` says, by the rule."""

OWN = "use = call:tests.operators.own_app:"
HEADERS = ("ASVS 3.4.1", "ASVS 3.4.3 3.4.6", "ASVS 3.4.4")
PLAIN = f"[app:main]\n{OWN}main\nown.headers = safe\n"


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """An ini file to be written, beside a database with the table."""
    create_table(f"sqlite:///{tmp_path}/own.sqlite")
    return tmp_path / "own.ini"


def write(
    ini: Path, text: str = f"[app:main]\n{OWN}main\nown.headers = safe\n", **more: str
) -> Path:
    """Write an application's section, with what each needs and `more` settings."""
    needed = {
        "sqlalchemy.url": "sqlite:///%(here)s/own.sqlite",
        "session.cookie_name": "__Host-own",
    }
    lines = "".join(f"{name} = {value}\n" for name, value in (needed | more).items())
    ini.write_text(text.replace(f"{OWN}main\n", f"{OWN}main\n{lines}", 1))
    return ini


def audit(ini: Path | str, *words: str, **environment: str) -> Lines:
    """What it says by rule; the exit status tells whether anything failed."""
    result = called(cli, ini, "audit", "--json", "--https", *words, environment=environment)
    assert result.stdout, result.output
    lines = {line["rule"]: line for line in json.loads(result.stdout)}
    assert result.exit_code == any(line["result"] == "failed" for line in lines.values())
    return lines


def failed(lines: Lines) -> list[str]:
    """The rules that are not met."""
    return [rule for rule, line in lines.items() if line["result"] == "failed"]
