"""Commands as the pages have them: each is one that works, with words that it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from click import Context, Group
from click.testing import CliRunner

from harness.processes import ROOT
from myapp.scripts.sessions import cli
from tests.test_docs import DOCS, PAGES, each, is_deleted, named, prose

COMMANDS = [page for page in (*PAGES, ROOT / "CONTRIBUTING.md") if page.parent.name != "decisions"]
INI = ROOT / "development.ini"
# What production.ini cannot know.
ENVIRONMENT = {"ACCOUNTS_URL": "https://shop.example", "ACCOUNTS_MAIL": "off"}
# Installed by whoever takes them; `make test/servers` runs each.
BROUGHT = ("gunicorn", "granian", "uwsgi", "opentelemetry-instrument")
ASSIGNED = re.compile(r"([A-Z_]+)=(\S+)")


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command on a page, with the variables before it."""
    text = prose(page).replace("\\\n", " ")
    for line in re.findall(
        r"^ {4}(?:[$#] )?((?:[A-Z_]+=|\.venv/|make |myapp-sessions ).*)$", text, re.M
    ):
        # What is left open on the page can't be tried.
        if "…" not in line:
            yield shlex.split(line.split(" | ")[0].split(" > ")[0], comments=True)


def programs(page: Path) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """For each command its program, its words and its variables."""
    for words in commands(page):
        found = [each for each in map(ASSIGNED.fullmatch, words) if each]
        variables = {each[1]: each[2] for each in found}
        rest = [word for word in words if not ASSIGNED.fullmatch(word)]
        if rest:
            yield rest[0].removeprefix(".venv/bin/"), rest[1:], variables


def effective(ini: str, words: list[str], variables: dict[str, str]) -> None:
    """Read the settings as a server would that is started so; a bad one is an error."""
    sets = [part for word in words for part in ("--set", word) if "=" in word]
    environment = {**ENVIRONMENT, **variables}
    done = CliRunner().invoke(cli, [*sets, str(ROOT / ini), "config"], env=environment)
    assert done.exit_code == 0, done.output


@each(*COMMANDS)
def test_a_server_starts_with_the_words_of_the_page(page: Path) -> None:
    """C2: each setting, as a word or a variable, is known and has a good value."""
    for name, words, variables in programs(page):
        if name == "pserve":
            ini, *rest = (word for word in words if not word.startswith("--"))
            effective(ini, [word for word in rest if "=" in word], variables)
        elif name == "make" and words[0].startswith("serve"):
            effective("development.ini", [], variables)


@each(*COMMANDS)
def test_a_program_of_the_page_is_installed(page: Path) -> None:
    """V4: in .venv, or by whoever takes it; a module that is run is there."""
    for name, words, _ in programs(page):
        if name.startswith(".venv-") or name in ("make", *BROUGHT):
            continue
        if name == "python" and words[0] == "-m":
            assert is_deleted(words[1]) or find_spec(words[1]) is not None, words[1]
            continue
        assert name in ("python", "pip") or _is_script(name), name


def _is_script(name: str) -> bool:
    return bool(entry_points(group="console_scripts", name=name))


@each(*COMMANDS)
def test_a_command_of_the_page_takes_these_words(page: Path) -> None:
    """O1: options and arguments of `myapp-sessions` as they are written."""
    for name, words, _ in programs(page):
        if name == "myapp-sessions" and words:
            # An application of the reader's own is not here.
            parsed(cli, [re.sub(r"^\w+\.ini$", str(INI), word) for word in words])


def parsed(group: Group, words: list[str]) -> None:
    """Parse the words as click does, and carry nothing out."""
    with group.make_context("command", list(words)) as context:
        name, command, rest = group.resolve_command(context, _rest(context))
        assert command is not None
        command.make_context(name, rest, parent=context)


def _rest(context: Context) -> list[str]:
    return [*context._protected_args, *context.args]


@each(*sorted(cli.commands))
def test_every_command_is_described(name: str) -> None:
    """O1: with each of its options, on some page."""
    assert name in {word for page in PAGES for word in named(page)}
    everything = "\n".join(page.read_text("utf-8") for page in DOCS.rglob("*.md"))
    for parameter in cli.commands[name].params:
        for option in parameter.opts:
            assert not option.startswith("--") or option in everything, f"{name} {option}"
