"""docs/how-to/debian.md and the Dockerfile, followed on a fresh Debian 13.

Its name keeps it out of `make test`; `make test/deploy` runs it.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest

from harness.processes import ROOT
from harness.servers.programs import HADOLINT, ServerMissing
from tests.deploy.debian import Debian, DebianMissing, fresh_debian
from tests.deploy.dockerfile import DOCKERFILE, Step, steps

PAGE: Final = ROOT / "docs" / "how-to" / "debian.md"
# From here on no package is fetched, and ports are opened.
SETS_UP: Final = "## The database"
STARTS: Final = "{command}\nuntil curl -s -o /dev/null http://127.0.0.1:6543/; do sleep 0.2; done"
TEST_TOOLS: Final = ("pytest", "webtest", "playwright", "hypothesis", "mypy", "ruff", "coverage")


@pytest.fixture
def debian() -> Iterator[Debian]:
    """A new installation."""
    try:
        with fresh_debian() as debian:
            yield debian
    except DebianMissing as missing:
        pytest.skip(str(missing))


def commands(text: str) -> list[str]:
    """What a page says to type as root, one command after the other."""
    lines = re.findall(r"^ {4}(.*)$", text, re.MULTILINE)
    found: list[str] = []
    for line in lines:
        if line.startswith("# "):
            found.append(line.removeprefix("# "))
        else:
            found[-1] += f"\n{line}"
    return [STARTS.format(command=each) if each.endswith("&") else each for each in found]


def test_the_page_leads_from_nothing_to_an_answer(debian: Debian) -> None:
    """V2, O4: every command in turn; what production runs on holds no tool of the tests."""
    debian.copy_project("srv/myapp")
    # A Debian that boots has it.
    (debian.root / "etc" / "systemd" / "system").mkdir(parents=True, exist_ok=True)
    install, set_up = PAGE.read_text("utf-8").split(SETS_UP)
    debian.run("apt-get update", network=True)
    debian.run("\n".join(commands(install)), network=True)
    shown = debian.run("\n".join(["cd /srv/myapp", *commands(set_up)]))
    assert '"status": "ok"' in shown
    packages = json.loads(debian.run("/srv/myapp/.venv/bin/pip list --format json"))
    assert not {each["name"].lower() for each in packages} & set(TEST_TOOLS)


def test_the_steps_of_the_dockerfile_make_a_server(debian: Debian) -> None:
    """O4: each step in turn, as the user of the image; then its own check of health."""
    debian.run("apt-get update && apt-get install -y ca-certificates python3-venv", network=True)
    found = list(steps())
    state = {"USER": "0", "WORKDIR": "/"}
    for step in found:
        _carry_out(debian, step, state)
    (check,) = (step for step in found if step.name == "HEALTHCHECK")
    (start,) = (step for step in found if step.name == "CMD")
    script = (
        f"cd {state['WORKDIR']}\n{_quoted(start)} &\n"
        f"for turn in $(seq 100); do {_quoted(check)} 2>/dev/null && exit; sleep 0.3; done; exit 1"
    )
    environment = {
        "DATABASE_URL": "sqlite:////tmp/myapp.sqlite",
        "DATABASE_MIGRATE_ON_START": "true",
        "ACCOUNTS_MAIL": "off",
        "ACCOUNTS_URL": "https://shop.example",
    }
    debian.run(script, user=int(state["USER"]), environment=environment)


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    """O4: it knows what commonly goes wrong in images."""
    try:
        program = HADOLINT.find()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    done = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def _carry_out(debian: Debian, step: Step, state: dict[str, str]) -> None:
    if step.name in state:
        state[step.name] = step.text
        (debian.root / state["WORKDIR"].lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif step.name == "RUN":
        debian.run(f"cd {state['WORKDIR']}\n{step.text}", network=True)
    elif step.name == "COPY" and not step.options:
        *names, _ = step.text.split()
        debian.copy_project(state["WORKDIR"].lstrip("/"), names)


def _quoted(step: Step) -> str:
    """The words of a step in JSON, for the shell."""
    words: list[str] = json.loads(step.text[step.text.index("[") :])
    return " ".join('"' + word.replace('"', '\\"') + '"' for word in words)
