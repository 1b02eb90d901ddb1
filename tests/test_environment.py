"""The one precedence rule: environment > command line > ini > default (C)."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from myapp import environment
from myapp.environment import COMMAND_LINE, SettingError

INI = "[app:main] of some.ini"
VARIABLE = {"SESSION_LIFETIME": "1d"}
OPTION = {"session.lifetime": "2d"}
LINE = {"session.lifetime": "3d"}


def merged(ini: Mapping[str, object], command_line: Mapping[str, str]) -> dict[str, Any]:
    """The settings as `main` makes them of what pserve hands it."""
    return environment.merge(ini, {"__file__": "/etc/some.ini", **command_line})


@pytest.mark.parametrize("environ", [{}, VARIABLE], ids=["", "environment"])
@pytest.mark.parametrize("option", [{}, OPTION], ids=["", "option"])
@pytest.mark.parametrize("line", [{}, LINE], ids=["", "line"])
def test_the_highest_place_that_has_a_value_wins(
    environ: dict[str, str], option: dict[str, str], line: dict[str, str]
) -> None:
    """C: environment > command line > ini > default, in all eight cases."""
    order = (
        (environ, "1d", "environment variable SESSION_LIFETIME"),
        (option, "2d", COMMAND_LINE),
        (line, "3d", INI),
    )
    value, source = next(((v, s) for given, v, s in order if given), (None, None))
    found = environment.lookup(merged(line, option), "session.lifetime", environ)
    assert found == value
    if source is not None:
        assert environment.source_of(found) == source


def test_an_empty_variable_counts_as_not_set() -> None:
    """C: `SESSION_LIFETIME=` takes nothing away from the ini."""
    found = environment.lookup(merged(LINE, {}), "session.lifetime", {"SESSION_LIFETIME": ""})
    assert (found, environment.source_of(found)) == ("3d", INI)


def test_an_empty_value_in_the_ini_is_a_value() -> None:
    """C: only a variable that is empty counts as not set."""
    found = environment.lookup(merged({"session.url": ""}, {}), "session.url", {})
    assert (found, environment.source_of(found)) == ("", INI)


@pytest.mark.parametrize(
    ("setting", "variable"),
    [
        ("sqlalchemy.url", "DATABASE_URL"),
        ("database.migrate_on_start", "DATABASE_MIGRATE_ON_START"),
        ("session.cookie_name", "SESSION_COOKIE_NAME"),
        ("session.url", "SESSION_URL"),
        ("admin_session.lifetime", "ADMIN_SESSION_LIFETIME"),
    ],
)
def test_each_setting_has_its_variable(setting: str, variable: str) -> None:
    """C: the name in capitals with underscores, but DATABASE_URL."""
    assert environment.variable_for(setting) == variable
    assert environment.lookup({}, setting, {variable: "x"}) == "x"


def test_a_value_given_in_python_keeps_its_type_and_has_a_source() -> None:
    """C2: a foreign application's settings may hold a boolean."""
    found = environment.lookup(merged({"session.join": False}, {}), "session.join", {})
    assert found is False
    assert environment.source_of(found) == "the application's settings"


@pytest.mark.parametrize("name", ["http_port", "here", "__file__"])
def test_only_dotted_names_of_the_command_line_are_settings(name: str) -> None:
    """C: `http_port=8080` is the server's."""
    assert name not in merged({}, {name: "8080"})


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("postgresql://u:p%%40ss@h/d", "postgresql://u:p%40ss@h/d"),
        ("100%%", "100%"),
        ("%%%%", "%%"),
        ("%(here)s/x", "/srv/x"),
        ("plain", "plain"),
    ],
)
def test_a_percent_sign_is_doubled_on_the_command_line(typed: str, meant: str) -> None:
    """C2: `%%` is one percent sign there, as in the ini."""
    assert merged({}, {"here": "/srv", "sqlalchemy.url": typed})["sqlalchemy.url"] == meant


def test_a_value_of_the_default_section_is_not_interpolated_twice() -> None:
    """C2: the loader made `%40` of its `%%40` already, and no other value suffers from it."""
    settings = merged({}, {"sqlalchemy.url": "sqlite:////p%40", "session.lifetime": "2d"})
    assert settings["sqlalchemy.url"] == "sqlite:////p%40"
    assert settings["session.lifetime"] == "2d"


def test_a_percent_sign_is_as_it_is_in_the_environment() -> None:
    """C2: nothing is interpolated there."""
    text = "postgresql://u:p%40%%s%(x)s@h/d"
    assert environment.lookup({}, "sqlalchemy.url", {"DATABASE_URL": text}) == text


def test_an_overridden_command_line_value_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """C2: whoever typed it learns once why it does not count, and reads no password."""
    options = {"sqlalchemy.url": "postgresql://u:secret@h/d"}
    environ = {"DATABASE_URL": "sqlite:////x"}
    settings = merged({}, options)
    for _ in range(3):
        environment.lookup(settings, "sqlalchemy.url", environ)
    assert caplog.messages == [
        "sqlalchemy.url=postgresql://u:***@h/d on the command line is ignored: DATABASE_URL is set"
    ]
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize(
    ("line", "option", "environ"),
    [(LINE, {}, VARIABLE), ({}, OPTION, {}), ({}, OPTION, {"SESSION_LIFETIME": ""})],
    ids=["the ini is overridden", "nothing is", "the variable is empty"],
)
def test_nothing_else_is_warned_of(
    line: dict[str, str],
    option: dict[str, str],
    environ: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """C2: an ini is there to be overridden."""
    environment.lookup(merged(line, option), "session.lifetime", environ)
    assert not caplog.messages


def test_a_file_is_read_as_pserve_reads_it(tmp_path: Path) -> None:
    """C: one rule for the server and for every command."""
    ini = tmp_path / "some.ini"
    ini.write_text(
        "[DEFAULT]\nhttp_port = 1\n"
        "[app:main]\nuse = egg:myapp\nsession.url = sqlite:///%(here)s/p%%40\nsession.lifetime = 3d"
    )
    settings = environment.load(str(ini), {"session.lifetime": "2d", "session.max_size": "1%%"})
    assert settings == {
        "session.url": f"sqlite:///{tmp_path}/p%40",
        "session.lifetime": "2d",
        "session.max_size": "1%",
    }
    assert environment.source_of(settings["session.url"]) == INI
    assert environment.source_of(settings["session.lifetime"]) == COMMAND_LINE


@pytest.mark.parametrize("place", ["ini", "command line"])
def test_a_lone_percent_sign_is_one_line_without_the_value(tmp_path: Path, place: str) -> None:
    """C2: what was typed may be a password."""
    line, options = ("sqlalchemy.url = postgresql://u:se%cret@h/d", dict[str, str]())
    if place == "command line":
        line, options = "", dict([line.split(" = ")])
    ini = tmp_path / "some.ini"
    ini.write_text(f"[app:main]\nuse = egg:myapp\n{line}\n")
    with pytest.raises(SettingError) as caught:
        environment.load(str(ini), options)
    assert str(caught.value) == (
        "sqlalchemy.url = … (from the command line or some.ini): "
        "expected a percent sign to be written twice: %%"
    )


def test_the_source_is_the_section_that_has_the_setting(tmp_path: Path) -> None:
    """C2: of several applications, one may use another."""
    ini = tmp_path / "some.ini"
    ini.write_text(
        "[app:main]\nuse = egg:myapp\nsession.lifetime = 1h\nsession.table = shop\n"
        "[app:admin]\nuse = main\nsession.lifetime = 2h\nsession.join = no\n"
    )
    settings = environment.load(f"{ini}#admin")
    sources = {name: environment.source_of(value) for name, value in settings.items()}
    assert sources == {
        "session.lifetime": "[app:admin] of some.ini",
        "session.join": "[app:admin] of some.ini",
        "session.table": "[app:main] of some.ini",
    }


def test_an_unknown_reference_is_one_line_with_its_own_advice(tmp_path: Path) -> None:
    """C2: two percent signs would not help there."""
    ini = tmp_path / "some.ini"
    ini.write_text("[app:main]\nuse = egg:myapp\nsqlalchemy.url = sqlite:///%(her)s/x\n")
    with pytest.raises(SettingError, match=r"a name that the file knows, such as %\(here\)s, or a"):
        environment.load(str(ini))


@pytest.mark.parametrize("text", ["true", "yes", "on", "1", "TRUE", "Yes"])
def test_a_boolean_is_true(text: str) -> None:
    """C: four words, in any case."""
    assert environment.parse_bool(text) is True


@pytest.mark.parametrize("text", ["false", "no", "off", "0", "FALSE", "oFF"])
def test_a_boolean_is_false(text: str) -> None:
    """C: their opposites."""
    assert environment.parse_bool(text) is False


@pytest.mark.parametrize(
    "text", ["", "2", "y", "t", "truee", " true", "true ", "none", "-1", "\u0661"]
)
def test_another_word_is_no_boolean(text: str) -> None:
    """C2: never silently false."""
    with pytest.raises(ValueError, match="not a boolean"):
        environment.parse_bool(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://:secret@h/d", "postgresql://:***@h/d"),
        ("postgresql://u:sec@ret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:sec/ret?:@h:5/d", "postgresql://u:***@h:5/d"),
        ("postgresql://u:sec\nret@h/d", "postgresql://u:***@h/d"),
        ("postgresql:/u:secret@h/d", "postgresql:***@h/d"),
        ("u:secret@h/d", "u:***@h/d"),
        ("postgresql:///d?user=u&password=secret", "postgresql:///d?user=u&password=***"),
        ("mysql://h/d?passwd=secret&x=1", "mysql://h/d?passwd=***&x=1"),
        ("prisma://h/?api_key=secret", "prisma://h/?api_key=***"),
        ("postgresql:///d?PGPASS%57ORD=secret&x=1", "postgresql:///d?PGPASS%57ORD=***&x=1"),
        ("mssql://?odbc_connect=UID%3Du%3BPWD%3Dsecret", "mssql://?odbc_connect=***"),
        ("host=h password=secret dbname=d", "host=***"),
        ("postgresql://u:secret", "postgresql://u:***"),
        ("postgresql://u:secret/d", "postgresql://u:***"),
        ("postgresql://u:5secret/d", "postgresql://u:***"),
        ("postgresql://u:123456/d", "postgresql://u:***"),
        ("postgresql:u:secret", "postgresql:u:***"),
        ("postgresql://u:sec/ret?x=1", "postgresql://u:***"),
        ("sqlite:////tmp/a.sqlite", "sqlite:////tmp/a.sqlite"),
        ("sqlite:///C:/a.sqlite", "sqlite:///C:/a.sqlite"),
        ("postgresql://h:5432/d", "postgresql://h:5432/d"),
        ("mysql://[::1]:3306?x=1", "mysql://[::1]:3306?x=1"),
        ("package.module:name", "package.module:name"),
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    """C2: whatever is wrong with the URL."""
    assert environment.printable(url) == shown


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("can't reach redis://u:p@ss@h/0: ask ann", "can't reach redis://u:***@h/0: ask ann"),
        ("(redis://u:two words@h/0)", "(redis://u:***@h/0)"),
        ("redis://a:x@h/0, redis://b:y@h/1", "redis://a:***@h/0, redis://b:***@h/1"),
        ("no host in redis://h:secret", "no host in redis://h:***"),
        ("https://h/d?password=x is down", "https://h/d?password=*** is down"),
        ("sqlite:///a.db: expected: ann@h", "sqlite:///a.db: expected: ann@h"),
    ],
)
def test_nor_is_one_within_a_sentence(sentence: str, shown: str) -> None:
    """R6: the rest of the sentence stays."""
    assert environment.without_passwords(sentence) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [("", "''"), (" a", "' a'"), ("a\nb", r"'a\nb'"), ("a\x00", r"'a\x00'"), (7, "7"), ("é", "é")],
)
def test_a_value_is_shown_as_one_line(value: object, shown: str) -> None:
    """C2: an odd one in quotes."""
    assert environment.printable(value) == shown


def test_a_very_long_value_is_cut_in_an_error() -> None:
    """C2: one line that can be read."""
    error = SettingError("session.lifetime", "9" * 100_000, "some.ini", "less")
    assert str(error) == f"session.lifetime = {'9' * 200}… (from some.ini): expected less"
