"""`audit` and `config` of an application of one's own: it is asked itself, and left as it was."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from myapp.scripts.sessions import cli
from myapp.scripts.sessions.audit import moving
from myapp.scripts.sessions.audit.evidence import Evidence
from myapp.scripts.sessions.audit.profiles import PROFILES
from myapp.sessions.moving.settings import PREFIX, TABLE
from myapp.setting_table import read_table
from tests.command_line import called
from tests.operators.own import HEADERS, OWN, PLAIN, audit, failed, write
from tests.operators.own import ini as ini
from tests.operators.test_audit import seen as seen
from tests.operators.test_audit import variables as variables

MOVING = {
    "pyramid.includes": "myapp.sessions myapp.sessions.moving",
    "moving.from": "signed_cookie",
    "moving.signed_cookie.secret": "hush",
    "moving.signed_cookie.cookie_name": "old",
}


def rows(ini: Path) -> int:
    with closing(sqlite3.connect(ini.parent / "own.sqlite")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM sessions").fetchone()
    return int(count)


def test_an_application_that_sends_the_headers_passes(ini: Path) -> None:
    """O2: whoever sends them, in whatever way."""
    lines = audit(write(ini))
    assert failed(lines) == []
    assert lines["ASVS 3.4.1"]["evidence"] == (
        "Strict-Transport-Security: max-age=63072000 (GET /: 200)"
    )


@pytest.mark.parametrize("page", ["/", "/nowhere"])
def test_one_that_does_not_fails(ini: Path, page: str) -> None:
    """O2: a page that is not there tells it as well."""
    lines = audit(write(ini, PLAIN.replace("safe", "none")), "--page", page)
    assert failed(lines) == [*HEADERS]
    assert "myapp" not in str([lines[rule]["to_set"] for rule in HEADERS])


def test_nothing_is_left_behind(ini: Path) -> None:
    """O2: no session and no thread, though the page begins a session, and is the first request."""
    before = {*threading.enumerate()}
    assert failed(audit(write(ini))) == []
    assert rows(ini) == 0
    assert {*threading.enumerate()} <= before


FILTER = "paste.filter_app_factory = tests.operators.own_app:filter_\n"
WITHOUT = f"[app:shop]\n{OWN}main\n"
AROUND = {
    "a filter": f"[filter-app:main]\n{FILTER}next = shop\n{WITHOUT}",
    "a pipeline": f"[pipeline:main]\npipeline = safe shop\n[filter:safe]\n{FILTER}{WITHOUT}",
    "a composite": (
        f"[composite:main]\n{OWN}urlmap\n/shop = shop\n/ = static\n"
        f"[app:static]\n{OWN}nothing\n{WITHOUT}own.headers = safe\n"
    ),
    "several": (
        f"[composite:main]\n{OWN}urlmap\n/a = other\n/b/shop/ = shop\n"
        f"{WITHOUT}own.headers = safe\n[app:other]\nuse = shop\nown.headers = none\n"
    ),
}


@pytest.mark.parametrize("around", AROUND)
def test_what_stands_around_it_counts(ini: Path, around: str) -> None:
    """O2: as the server has it, below whatever path."""
    write(ini, AROUND[around])
    lines = audit(f"{ini}#shop" if around == "several" else ini)
    assert failed(lines) == []
    assert audit(f"{ini}#shop")["ASVS 3.4.1"] == lines["ASVS 3.4.1"]


def test_a_neighbour_s_page_is_no_evidence(ini: Path) -> None:
    """O2: it may send what the application with the sessions does not."""
    lines = audit(write(ini, AROUND["a composite"]), "--page", "/static")
    assert failed(lines) == [*HEADERS]
    assert "does not reach the application with the sessions" in lines["ASVS 3.4.1"]["evidence"]
    assert {lines[rule]["to_set"] for rule in HEADERS} == {"--page with a path of that application"}


def test_one_that_does_not_start_or_answer_fails(ini: Path) -> None:
    """O2: evidence that can't be had is none."""
    for page, error in (("/broken", "ValueError"), ("/leaving", "SystemExit")):
        broken = audit(write(ini), "--page", page)
        assert failed(broken) == [*HEADERS]
        assert f"GET {page} raises {error}" in broken["ASVS 3.4.1"]["evidence"]
    lines = audit(write(ini, **{"pyramid.includes": "no.such.package"}))
    assert failed(lines) == [*HEADERS]
    assert "the application does not start" in lines["ASVS 3.4.1"]["evidence"]
    assert {lines[rule]["to_set"] for rule in HEADERS} == {
        "nothing, before the application answers"
    }


def test_settings_are_those_that_the_application_has(ini: Path) -> None:
    """O2: not what the ini file says, if the application says something else."""
    lines = audit(write(ini, **{"own.lifetime": "60d", "session.lifetime": "1d"}))
    assert failed(lines) == ["ASVS 7.1.1 7.3.2, NIST 5.2"]
    evidence = lines["ASVS 7.1.1 7.3.2, NIST 5.2"]["evidence"]
    assert evidence == "session.lifetime = 60d (the application's settings)"


def test_a_setting_of_its_own_may_be_none(ini: Path) -> None:
    """O2, C4: what it sets in Python, the ini file need not have."""
    assert failed(audit(write(ini))) == []
    assert "session.lifetime" in {line["setting"] for line in shown(ini)}


@pytest.mark.parametrize("module", ["settings", "features"])
def test_modules_of_its_own_are_left_alone(ini: Path, module: str) -> None:
    """O2: one is not even imported, and the other may raise what it likes."""
    ini.write_text(write(ini).read_text().replace("own_app", f"shop_with_{module}"))
    assert failed(audit(ini)) == []


# Features that it includes.


def test_a_move_that_executes_what_it_reads_fails(ini: Path) -> None:
    """O2, O7: by its setting; a move that lets in every old session says so."""
    lines = audit(write(ini, **MOVING))
    assert failed(lines) == []
    evidence = lines["ASVS 7.1.1, the move"]["evidence"]
    assert evidence == "decided: none; moving.began_after = empty (default)"
    lines = audit(ini, MOVING_PICKLE="trusted", MOVING_BEGAN_AFTER="2026-11-26T03:00Z")
    assert failed(lines) == ["ASVS 1.5.2"]
    assert "moving.pickle" in lines["ASVS 1.5.2"]["to_set"]
    assert "2026-11-26T03:00Z" in lines["ASVS 7.1.1, the move"]["evidence"]


@pytest.mark.parametrize(("function", "is_met"), [("pickle.loads", False), ("json.loads", True)])
def test_so_does_one_that_brings_pickle_along(seen: Evidence, function: str, is_met: bool) -> None:
    """O2, O7: as the function that reads what Redis holds."""
    given = {"moving.from": "session_redis", "moving.session_redis.deserialize": function}
    reading = read_table(TABLE, given, {}, prefix=PREFIX, owned=(PREFIX,))
    verdict = moving.readers(
        replace(seen, readings={**seen.readings, "myapp.sessions.moving": reading}),
        PROFILES["aal1"],
    )
    assert verdict.is_met is is_met
    assert f"moving.session_redis.deserialize = {function}" in verdict.evidence


def shown(ini: Path, *words: str, status: int = 0, **environment: str) -> Sequence[dict[str, str]]:
    """What `config` says."""
    result = called(cli, *words, ini, "config", "--json", environment=environment)
    assert result.exit_code == status, result.output
    found: list[dict[str, str]] = json.loads(result.stdout)
    return found


def test_config_shows_what_the_application_includes(ini: Path) -> None:
    """C4: each setting of each feature with its source, and no secret."""
    write(ini, **MOVING)
    lines = {line["setting"]: line for line in shown(ini, MOVING_PICKLE="plain")}
    assert {f"moving.{name}" for name in TABLE} <= lines.keys()
    assert not [name for name in lines if name.startswith("metrics.")]
    assert lines["moving.pickle"]["from"] == "environment variable MOVING_PICKLE"
    assert lines["moving.from"]["from"] == "[app:main] of own.ini"
    assert lines["moving.signed_cookie.secret"]["value"] == "***"
    assert lines["moving.auth_tkt.secret"]["value"] == ""
    assert "hush" not in str(lines)


def test_config_of_one_that_does_not_start_says_so(ini: Path) -> None:
    """C4: and shows what the ini file says, but no exit status as if that were all."""
    for more in ({"pyramid.includes": "no.such.package"}, MOVING | {"moving.from": "nowhere"}):
        write(ini, **more)
        result = called(cli, ini, "config")
        assert "session.cookie_name" in result.stdout
        assert "does not start" in result.stderr
        assert result.exit_code == 1
    assert "moving.from = nowhere" in result.stderr


def test_an_error_tells_no_secret(ini: Path) -> None:
    """R6, C2: of a name that is misspelt, either."""
    write(ini, **MOVING, **{"moving.signed_cokie.secret": "hush"})
    result = called(cli, ini, "config")
    assert "moving.signed_cokie.secret = ***" in result.stderr
    assert "hush" not in result.output + result.stderr


def test_an_error_of_its_own_tells_no_password_either(ini: Path) -> None:
    """R6: other packages quote the URL that they can't reach."""
    write(ini, **{"own.cache_url": "redis://us:top secret@h/0"})
    for command in ("config", "audit"):
        result = called(cli, ini, command)
        words = result.output + result.stderr
        assert "can't reach redis://us:***@h/0, since nothing answers" in words
        assert "secret" not in words


# Features that others wrote.

PRESS = "tests.operators.press"


def test_a_feature_of_a_codebase_need_not_note_itself_for_its_rules(ini: Path) -> None:
    """O2: one that is included is asked, settings or not; one that is not included, is not."""
    ini.write_text(write(ini).read_text().replace(f"{OWN}main", f"use = call:{PRESS}:main"))
    lines = audit(ini)
    assert "SILENT" in failed(lines)
    assert "UNUSED" not in lines


RAISING = {
    f"{PRESS}.raising.audit.looks_up": "raises KeyError: 'no.such.feature'",
    f"{PRESS}.raising.audit.quotes": "raises OSError: can't reach redis://us:***@h/0",
    f"{PRESS}.raising.audit.leaves": "raises SystemExit: 3",
    f"{PRESS}.raising.audit.forgets": "raises TypeError: a NoneType in place of a Verdict",
    f"{PRESS}.broken.audit": "raises RuntimeError: these rules were never tried",
}


def test_a_rule_that_raises_fails_alone(ini: Path) -> None:
    """O2: its line names it and the error, and hides no other; so for rules that aren't there."""
    whole = audit(write(ini))
    write(ini, **{"pyramid.includes": f"myapp.sessions {PRESS}.broken {PRESS}.raising"})
    lines = audit(ini)
    called_amiss = f"{PRESS}.raising.audit.Rule"
    assert {*failed(lines)} == {*RAISING, called_amiss}
    assert {name: lines[name]["evidence"] for name in RAISING} == RAISING
    assert lines[called_amiss]["evidence"].startswith("raises TypeError: ")
    assert {*lines} == {*whole, *RAISING, called_amiss, "WORKS"}
    result = called(cli, ini, "audit", "--https")
    assert result.exit_code == 1
    assert sum(line.startswith("failed") for line in result.stdout.splitlines()) == len(RAISING) + 1
    assert "secret" not in result.output


def test_a_codebase_s_broken_rules_are_a_line_as_well(ini: Path) -> None:
    """O2: of a feature that did not note itself, too, and only if it is included."""
    text = write(ini).read_text()
    ini.write_text(text.replace(f"{OWN}main", f"use = call:{PRESS}:main"))
    assert f"{PRESS}.broken.audit" not in audit(ini)
    ini.write_text(ini.read_text() + f"pyramid.includes = {PRESS}.broken\n")
    lines = audit(ini)
    assert f"{PRESS}.broken.audit" in failed(lines)
    assert "SILENT" in failed(lines)


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_feature_that_can_tell_nothing_hides_no_sessions(ini: Path, words: Sequence[str]) -> None:
    """O1, R6: the sessions of the user come first, and one line says why there is no more."""
    ini.write_text(write(ini).read_text().replace(f"{OWN}main", f"use = call:{PRESS}:main"))
    result = called(cli, ini, "user", "ann", *words)
    assert result.exit_code == 1
    assert "sessions" in result.output + result.stderr
    assert result.stderr.endswith(
        f"Error: {PRESS}.raising.operators can't tell of the user:"
        " OSError: can't reach redis://us:***@h/0\n"
    )


@pytest.mark.parametrize("command", ["stats", "list"])
def test_a_database_that_refuses_us_is_told_in_a_sentence(ini: Path, command: str) -> None:
    """O1: what was expected, and what the database says."""
    write(ini)
    (ini.parent / "own.sqlite").write_text("no database at all, but a text of some length" * 9)
    result = called(cli, ini, command)
    assert result.exit_code == 1
    assert (
        "the session store can't be used: expected a database that this user may use"
        " (DatabaseError: file is not a database)"
    ) in result.output + result.stderr


@pytest.mark.parametrize("command", ["audit", "config"])
def test_a_table_that_is_none_is_one_line(ini: Path, command: str) -> None:
    """C4: and names the feature."""
    write(ini, **{"pyramid.includes": f"myapp.sessions {PRESS}.tableless"})
    result = called(cli, ini, command)
    assert result.exit_code == 1
    assert f"Error: the settings of {PRESS}.tableless can't be read: " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_table_is_all_that_a_feature_needs(ini: Path) -> None:
    """O2, C4: what it owns, and a prefix, may be left out."""
    write(ini, **{"pyramid.includes": f"myapp.sessions {PRESS}.literal"})
    assert failed(audit(ini)) == []
    assert "literal.on" in {line["setting"] for line in shown(ini)}


def test_two_features_may_have_the_same_last_name(ini: Path) -> None:
    """O2: neither's settings are taken for the other's."""
    pytest.importorskip("myapp.logs", reason="it was taken out")
    for features in (f"myapp.logs {PRESS}.logs", f"{PRESS}.logs myapp.logs"):
        write(ini, **{"pyramid.includes": f"myapp.sessions {features}"})
        assert failed(audit(ini)) == []
