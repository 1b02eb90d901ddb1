"""What the table of settings says, the ini files, the reference page and the command say (C4)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from myapp import environment
from myapp.environment import variable_for
from myapp.scripts.reference import APPLICATION, Row, page
from myapp.scripts.sessions import cli
from myapp.sessions.core.settings import TABLE, Setting, read
from tests.processes import ROOT, clean_environment

INIS = (ROOT / "development.ini", ROOT / "production.ini")
PAGE = ROOT / "docs" / "reference" / "settings.md"


def one_line(text: str) -> str:
    """A text without what only lays it out."""
    return " ".join(text.split())


def paragraphs(ini: Path) -> dict[str, tuple[str, str, bool]]:
    """Each setting of an ini file: its comment in one line, its value, whether it is in force."""
    found = {}
    comment: list[str] = []
    for line in ini.read_text("utf-8").splitlines():
        setting = re.fullmatch(r"(#?)([a-z][a-z_.]*\.[a-z_]+) =(.*)", line)
        if setting is not None:
            hash_, name, value = setting.groups()
            assert name not in found, f"{ini.name} has {name} twice"
            found[name] = one_line(" ".join(comment)), value.strip(), not hash_
        elif line.startswith("#"):
            comment.append(line.removeprefix("#"))
            continue
        comment = []
    return found


@pytest.mark.parametrize("ini", INIS, ids=lambda ini: ini.name)
@pytest.mark.parametrize("setting", TABLE.values(), ids=TABLE)
def test_a_setting_is_explained_in_the_ini(setting: Setting, ini: Path) -> None:
    """C4: with exactly the help, the default and the advice of the table."""
    comment, _, _ = paragraphs(ini)[f"session.{setting.name}"]
    default = setting.default or "empty"
    assert comment == one_line(f"{setting.help} Default: {default}. {setting.when}")


@pytest.mark.parametrize("ini", INIS, ids=lambda ini: ini.name)
@pytest.mark.parametrize("setting", TABLE.values(), ids=TABLE)
def test_a_line_that_is_commented_out_is_the_default(setting: Setting, ini: Path) -> None:
    """C4: as the head of the file says."""
    _, value, in_force = paragraphs(ini)[f"session.{setting.name}"]
    assert in_force or value == setting.default


@pytest.mark.parametrize("ini", INIS, ids=lambda ini: ini.name)
def test_the_ini_has_the_settings_in_the_order_of_the_table(ini: Path) -> None:
    """C4: every one of them, and none that the table lacks."""
    sessions = [name for name in paragraphs(ini) if name.startswith("session.")]
    assert sessions == [f"session.{name}" for name in TABLE]


@pytest.mark.parametrize("ini", INIS, ids=lambda ini: ini.name)
@pytest.mark.parametrize("row", APPLICATION, ids=lambda row: row.name)
def test_a_setting_of_the_application_is_explained_in_the_ini(row: Row, ini: Path) -> None:
    """C4: what else the reference page has."""
    comment, _, in_force = paragraphs(ini)[row.name]
    assert comment.startswith(row.help.rstrip("."))
    if row.name == "sqlalchemy.url":
        assert in_force
        assert paragraphs(ini)[row.name][1] == row.default
        assert f"Environment: {row.variable}." in comment
    else:
        assert one_line(row.when) in comment
        assert comment.endswith(f"Default: {row.default}.")


@pytest.mark.parametrize("ini", INIS, ids=lambda ini: ini.name)
def test_a_line_can_be_put_in_force_by_its_first_character(ini: Path, tmp_path: Path) -> None:
    """C4: each stands in the right section, and to write down the default changes nothing."""
    text = re.sub(r"^#(?=session\.)", "", ini.read_text("utf-8"), flags=re.MULTILINE)
    changed = tmp_path / ini.name
    changed.write_text(text, "utf-8")
    before, after = environment.load(str(ini)), environment.load(str(changed))
    assert read(after, {}) == read(before, {})
    assert {f"session.{name}" for name in TABLE} <= after.keys()


def test_production_is_not_a_copy_of_development() -> None:
    """C: its cookie's name begins with `__Host-`, and its tables are not changed at start."""
    development, production = map(paragraphs, INIS)
    name = development["session.cookie_name"][1]
    assert re.fullmatch(r"session_[a-z0-9]{8}", name)
    assert production["session.cookie_name"][1:] == (f"__Host-{name}", True)
    migrate = "database.migrate_on_start"
    assert development[migrate][1:] == ("true", True)
    assert production[migrate][1:] == ("false", True)


def test_the_reference_page_is_what_the_table_says() -> None:
    """C4: `python -m myapp.scripts.reference > docs/reference/settings.md` mends it."""
    assert PAGE.read_text("utf-8") == f"{page()}\n"


def test_the_reference_page_is_printed_by_its_module() -> None:
    """C4: with the command that the page names."""
    done = subprocess.run(
        [sys.executable, "-m", "myapp.scripts.reference"],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env=clean_environment(),
    )
    assert done.stdout.decode() == PAGE.read_text("utf-8")


@pytest.mark.parametrize("setting", TABLE.values(), ids=TABLE)
def test_a_setting_has_its_section_on_the_page(setting: Setting) -> None:
    """C4: default, what is accepted, the variable, the meaning and the advice."""
    name = f"session.{setting.name}"
    sections = PAGE.read_text("utf-8").split("\n### ")
    (section,) = [text for text in sections if text.startswith(f"`{name}`\n")]
    default = f"`{setting.default}`" if setting.default else "empty"
    assert one_line(section.partition("\n## ")[0]) == one_line(
        f"`{name}` {setting.help} - Default: {default} - Accepted: {setting.accepts}"
        f" - Environment: `{variable_for(name)}` - When to change it: {setting.when}"
    )


@pytest.mark.parametrize("ini", INIS, ids=lambda ini: ini.name)
def test_the_command_shows_every_setting(ini: Path) -> None:
    """C4: with its value and where that came from."""
    done = CliRunner().invoke(cli, [str(ini), "config"], catch_exceptions=False)
    head, *lines = done.output.splitlines()
    second, third = head.index("value"), head.index("from")
    printed = {
        line[:second].strip(): (line[second:third].strip(), line[third:].strip()) for line in lines
    }
    for name, (_, value, in_force) in paragraphs(ini).items():
        if name.startswith("session."):
            source = f"[app:main] of {ini.name}" if in_force else "default"
            assert printed[name] == (value, source)
