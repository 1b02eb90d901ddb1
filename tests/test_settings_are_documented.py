"""What the tables of settings say, the ini files, the reference page and the command say (C4)."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.processes import ROOT, clean_environment
from myapp import environment
from myapp.environment import variable_for
from myapp.scripts.reference import APPLICATION, FEATURES, MOVING, SESSIONS, page, page_of
from myapp.scripts.sessions import cli
from myapp.sessions.core.settings import read_session_settings
from myapp.setting_table import Setting
from myapp.settings import read_application_settings
from tests.command_line import called

INIS = (ROOT / "development.ini", ROOT / "production.ini")
PAGE = ROOT / "docs" / "reference" / "settings.md"
APART = (*FEATURES, "moving")
PAGES = {PAGE: page(), **{PAGE.with_suffix("") / f"{each}.md": page_of(each) for each in APART}}
SETTINGS = {
    name: row
    for table in (APPLICATION, SESSIONS, *FEATURES.values())
    for name, row in table.items()
}
OURS = tuple({name.partition(".")[0] + "." for name in SETTINGS})

# Of a move, which the ini files know nothing of: its settings come and go with it.
ON_PAGES = SETTINGS | dict(MOVING)

every_setting = pytest.mark.parametrize("name", SETTINGS)
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
every_ini = pytest.mark.parametrize("ini", INIS, ids=lambda ini: ini.name)


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


@every_ini
@every_setting
def test_a_setting_is_explained_in_the_ini(name: str, ini: Path) -> None:
    """C4: with exactly the help, the default and the advice of the table."""
    comment, _, _ = paragraphs(ini)[name]
    row = SETTINGS[name]
    assert comment == one_line(f"{row.help} Default: {row.default_in_words}. {row.when}")


@every_ini
@every_setting
def test_a_line_that_is_commented_out_is_the_default(name: str, ini: Path) -> None:
    """C4: as the head of the file says; what has no default is in force."""
    _, value, in_force = paragraphs(ini)[name]
    assert in_force or (value == SETTINGS[name].default and not SETTINGS[name].required)


@every_ini
def test_the_ini_has_the_settings_in_the_order_of_the_tables(ini: Path) -> None:
    """C4: every one of them, and none that the tables lack."""
    assert [name for name in paragraphs(ini) if name.startswith(OURS)] == list(SETTINGS)


@every_ini
def test_a_line_can_be_put_in_force_by_its_first_character(ini: Path, tmp_path: Path) -> None:
    """C4: each stands in the right section, and to write down the default changes nothing."""
    pattern = rf"^#(?={'|'.join(map(re.escape, OURS))})"
    text = re.sub(pattern, "", ini.read_text("utf-8"), flags=re.MULTILINE)
    changed = tmp_path / ini.name
    changed.write_text(text, "utf-8")
    before, after = environment.load(str(ini)), environment.load(str(changed))
    assert read_session_settings(after, {}) == read_session_settings(before, {})
    assert read_application_settings(after, {}) == replace(
        read_application_settings(before, {}), url=f"sqlite:///{tmp_path}/myapp.sqlite"
    )
    assert SETTINGS.keys() <= after.keys()


def test_production_is_not_a_copy_of_development() -> None:
    """C: no script can set its cookie, its sessions have limits, and its tables are not changed at
    start.
    """
    development, production = map(paragraphs, INIS)
    name = development["session.cookie_name"][1]
    assert re.fullmatch(r"session_[a-z0-9]{8}", name)
    assert production["session.cookie_name"][1:] == (f"__Host-Http-{name}", True)
    for limit in ("idle_timeout", "anonymous_lifetime", "max_per_user"):
        assert production[f"session.{limit}"][2], limit
    migrate = "database.migrate_on_start"
    assert development[migrate][1:] == ("true", True)
    assert production[migrate][1:] == ("false", True)


@every_page
def test_the_reference_page_is_what_the_table_says(path: Path) -> None:
    """C4: `python -m myapp.scripts.reference > docs/reference/settings.md` mends it."""
    assert path.read_text("utf-8") == f"{PAGES[path]}\n"


@every_page
def test_the_reference_page_is_printed_by_its_module(path: Path) -> None:
    """C4: with the command that the page names."""
    text = path.read_text("utf-8")
    (words,) = re.findall(r"`python (-m myapp\.scripts\.reference[^`]*)`", text)
    done = subprocess.run(
        [sys.executable, *words.split()],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env=clean_environment(),
    )
    assert done.stdout.decode() == text


@pytest.mark.parametrize("name", ON_PAGES)
def test_a_setting_has_its_section_on_the_page(name: str) -> None:
    """C4: default, what is expected, the variable, the meaning and the advice."""
    row: Setting = ON_PAGES[name]
    sections = "".join(PAGES.values()).split("\n### ")
    (section,) = [text for text in sections if text.startswith(f"`{name}`\n")]
    default = f"`{row.default}`" if row.default else row.default_in_words
    assert one_line(re.split(r"\n?## |# Settings", section)[0]) == one_line(
        f"`{name}` {row.help} - Default: {default} - Expected: {row.expected}"
        f" - Environment: `{variable_for(name)}` - When to change it: {row.when}"
    )


@every_ini
def test_the_command_shows_every_setting(ini: Path) -> None:
    """C4: with its value and where that came from, and in the order of the tables."""
    done = called(cli, ini, "config", catch_exceptions=False)
    head, *lines = done.output.splitlines()
    second, third = head.index("value"), head.index("from")
    printed = {
        line[:second].strip(): (line[second:third].strip(), line[third:].strip()) for line in lines
    }
    assert list(printed) == list(SETTINGS)
    for name, (_, value, in_force) in paragraphs(ini).items():
        if name in SETTINGS:
            source = f"[app:main] of {ini.name}" if in_force else "default"
            assert printed[name] == (value.replace("%(here)s", str(ROOT)), source)
