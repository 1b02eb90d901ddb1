"""`audit`: production.ini is safe as it is shipped, and each rule notices what breaks it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.processes import ROOT
from myapp import environment
from myapp.scripts.sessions import cli
from myapp.scripts.sessions.audit import rules
from myapp.scripts.sessions.audit.evidence import Evidence, gather
from myapp.scripts.sessions.audit.page import ask
from myapp.scripts.sessions.audit.profiles import PROFILES
from myapp.scripts.sessions.audit.rules import Rule
from myapp.scripts.sessions.given import Given
from tests.command_line import called
from tests.sessions.app import create_table

# What every production needs to be told; of no account where a feature was taken out.
TOLD = {
    "ACCOUNTS_URL": "https://example.com",
    "ACCOUNTS_MAIL": "smtp://mail.example.com",
    "ACCOUNTS_MAIL_FROM": "accounts@example.com",
}


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The environment of a production with a database."""
    url = f"sqlite:///{tmp_path}/production.sqlite"
    create_table(url)
    return TOLD | {"DATABASE_URL": url}


def audit(
    variables: Mapping[str, str], *words: str, ini: Path = ROOT / "production.ini"
) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and the lines."""
    result = called(cli, ini, "audit", "--json", *words, environment=variables)
    assert result.exit_code in (0, 1), result.output
    assert result.stdout, result.stderr
    return result.exit_code, json.loads(result.stdout)


def failed(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [line for line in lines if line["result"] == "failed"]


def test_production_passes_as_it_is_shipped(variables: dict[str, str]) -> None:
    """O2: with HTTPS declared; each line has its rule and its evidence."""
    status, lines = audit(variables, "--https")
    assert (status, failed(lines)) == (0, [])
    assert len(lines) >= len(rules.RULES)
    assert all(line["rule"] and line["evidence"] and not line["to_set"] for line in lines)


def test_a_person_gets_a_line_for_each_rule(variables: dict[str, str]) -> None:
    """O2: with what to set at its end."""
    result = called(cli, ROOT / "production.ini", "audit", environment=variables)
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("failed")]
    assert "no setting says that browsers use HTTPS" in line
    assert line.endswith("audit --https")


@pytest.mark.parametrize("missing", [*TOLD, "DATABASE_URL"])
def test_what_was_never_told_fails_with_its_name(
    variables: dict[str, str], missing: str, tmp_path: Path
) -> None:
    """O2: the application does not start without; each rule has its line all the same."""
    if missing in TOLD:
        pytest.importorskip("myapp.accounts", reason="nothing else has to be told")
    del variables[missing]
    # SQLite's file is looked for where the command is run.
    ini = tmp_path / "production.ini"
    ini.write_text((ROOT / "production.ini").read_text("utf-8"))
    status, lines = audit(variables, "--https", ini=ini)
    assert status == 1
    assert len(lines) >= len(rules.RULES)
    name = {"DATABASE_URL": "there is no database"}.get(
        missing, missing.lower().replace("_", ".", 1)
    )
    assert any(name in line["evidence"] for line in failed(lines))


# A name without a prefix, which would forbid what is tried.
PLAIN = {"SESSION_COOKIE_NAME": "sid"}
BRIEF = {"SESSION_IDLE_TIMEOUT": "15m", "SESSION_ANONYMOUS_LIFETIME": "1h"}
BROKEN = [
    ({"SESSION_LIFETIME": "31d"}, "aal1", "session.lifetime"),
    ({"SESSION_LIFETIME": "25h"}, "aal2", "session.lifetime"),
    (BRIEF | {"SESSION_LIFETIME": "13h"}, "aal3", "session.lifetime"),
    ({"SESSION_IDLE_TIMEOUT": "2h"}, "aal2", "session.idle_timeout"),
    ({"SESSION_IDLE_TIMEOUT": "off"}, "aal2", "session.idle_timeout"),
    ({"SESSION_IDLE_TIMEOUT": "16m"}, "aal3", "session.idle_timeout"),
    ({"SESSION_MAX_PER_USER": "off"}, "aal2", "session.max_per_user"),
    (PLAIN, "aal1", "session.cookie_name"),
    (PLAIN | {"SESSION_COOKIE_SECURE": "no"}, "aal1", "session.cookie_secure"),
    (PLAIN | {"SESSION_COOKIE_PATH": "/a"}, "aal1", "session.cookie_path"),
    (PLAIN | {"SESSION_COOKIE_DOMAIN": "a.b"}, "aal1", "session.cookie_domain"),
    (PLAIN | {"SESSION_COOKIE_HTTPONLY": "no"}, "aal1", "session.cookie_httponly"),
    ({"SESSION_COOKIE_SAMESITE": "none"}, "aal1", "session.cookie_samesite"),
    ({"MYAPP_HSTS": "false"}, "aal1", "myapp.hsts"),
    ({"DATABASE_URL": "sqlite:////nowhere/at/all.sqlite"}, "aal1", "`check`"),
]


@pytest.mark.parametrize(("broken", "profile", "named"), BROKEN)
def test_each_broken_setting_is_named(
    variables: dict[str, str], broken: dict[str, str], profile: str, named: str
) -> None:
    """O2: with the exit status 1, and what to set."""
    status, lines = audit(variables | broken, "--https", "--profile", profile)
    assert status == 1
    assert any(named in line["to_set"] for line in failed(lines)), failed(lines)


def test_a_limit_that_is_off_is_a_decision_where_the_profile_leaves_it(
    variables: dict[str, str],
) -> None:
    """O2: and reads so."""
    off = {"SESSION_IDLE_TIMEOUT": "off", "SESSION_MAX_PER_USER": "off"}
    status, lines = audit(variables | off, "--https")
    assert status == 0
    decided = [line["rule"] for line in lines if line["evidence"].startswith("decided: none; ")]
    assert decided == ["ASVS 7.3.1", "ASVS 7.1.2"]


SERVERS = {
    "url_scheme = https": set(),
    "trusted_proxy = 127.0.0.1\ntrusted_proxy_headers = x-forwarded-proto": set(),
    "trusted_proxy = 127.0.0.1\ntrusted_proxy_headers = x-forwarded-for": {"ASVS 3.4, HTTPS"},
    "trusted_proxy = *\ntrusted_proxy_headers = x-forwarded-proto": {"ASVS 4.1.3"},
    "url_scheme = https\nclear_untrusted_proxy_headers = no": {"ASVS 4.1.3"},
}


@pytest.mark.parametrize("server", SERVERS)
def test_what_the_server_believes_is_judged(
    variables: dict[str, str], tmp_path: Path, server: str
) -> None:
    """O2: whom it believes that a browser came by HTTPS, and from where."""
    text = (ROOT / "production.ini").read_text("utf-8")
    ini = tmp_path / "production.ini"
    ini.write_text(text.replace("[server:main]", f"[server:main]\n{server}"), "utf-8")
    _, lines = audit(variables, ini=ini)
    assert {line["rule"] for line in failed(lines)} == SERVERS[server]


@pytest.fixture
def seen(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Evidence:
    """What the audit sees of production.ini."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ini = str(ROOT / "production.ini")
    given = Given(environment.application(ini), "session.", ini=ini)
    with given.loaded() as application:
        page = ask(application, "/")
    return gather(given, page, https_declared=True)


def without(seen: Evidence, header: str) -> Evidence:
    """The same, without a header of the response that signs in."""
    left = {name: text for name, text in seen.signed_in.items() if name != header}
    return replace(seen, signed_in=left)


def answering(seen: Evidence, header: str, text: str = "") -> Evidence:
    """The same, of a page with another header of this name, or without it."""
    return replace(seen, page=replace(seen.page, headers={**seen.page.headers, header: text}))


def test_what_no_setting_can_break_is_looked_at_all_the_same(seen: Evidence) -> None:
    """O2: the token, the headers and the table, as a response and the database show them."""
    _, token, _ = seen.cookie
    short = {**seen.signed_in, "Set-Cookie": seen.signed_in["Set-Cookie"].replace(token, "short")}
    long = {**seen.signed_in, "Set-Cookie": f"sid={'x' * 4096}; Secure"}
    inline = "default-src 'unsafe-inline'; frame-ancestors 'none'"
    csp, hsts = "content-security-policy", "strict-transport-security"
    broken: list[tuple[Rule, Evidence]] = [
        (rules.token, replace(seen, signed_in=short)),
        (rules.cookie_size, replace(seen, signed_in=long)),
        (rules.token_in_url, replace(seen, location=f"/?session={token}")),
        (rules.no_store, without(seen, "Cache-Control")),
        (rules.content_policy, answering(seen, csp)),
        (rules.content_policy, answering(seen, csp, inline)),
        (rules.no_sniffing, answering(seen, "x-content-type-options")),
        (rules.hsts, answering(seen, hsts)),
        (rules.hsts, answering(seen, hsts, "max-age=0")),
        (rules.same_site, without(seen, "Set-Cookie")),
        (rules.deletion, replace(seen, signed_out={})),
        (rules.table, replace(seen, table="there is no table")),
        (rules.https, replace(seen, https_declared=False, server={})),
    ]
    for rule, evidence in broken:
        assert rule(seen, PROFILES["aal1"]).is_met, rule.__doc__
        assert not rule(evidence, PROFILES["aal1"]).is_met, rule.__doc__


def test_each_feature_notes_that_it_was_included(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """O2, C4: so that the commands know of it in an application of one's own, too."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ini = str(ROOT / "production.ini")
    given = Given(environment.application(ini), "session.", ini=ini)
    folders = {*given.included}
    with given.loaded() as application:
        assert {*application.included} == {*given.included} == folders


def test_auditing_migrates_nothing_and_starts_no_thread(tmp_path: Path) -> None:
    """O2: a database without tables is a failure, and has none afterwards."""
    file, before = tmp_path / "new.sqlite", {*threading.enumerate()}
    file.touch()
    new = {"DATABASE_URL": f"sqlite:///{file}", "DATABASE_MIGRATE_ON_START": "true"}
    status, lines = audit(TOLD | new, "--https")
    assert status == 1
    (hsts,) = [line for line in lines if line["rule"] == "ASVS 3.4.1"]
    assert "does not start: myapp: there is no table 'sessions'" in hsts["evidence"]
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    assert {*threading.enumerate()} <= before


def test_what_the_audit_overrules_is_not_called_ignored(
    variables: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """O2, C2: whoever set it by `--set` sees nothing of the variable by which we did that."""
    given = ("--set", "database.migrate_on_start=true", "--set", "session.lifetime=1d")
    more = variables | {"SESSION_LIFETIME": "2d"}
    called(cli, *given, ROOT / "production.ini", "audit", environment=more)
    assert "session.lifetime=1d on the command line is ignored" in caplog.text
    assert "database.migrate_on_start" not in caplog.text


def test_auditing_writes_nothing_and_takes_the_manager_that_is_meant(
    variables: dict[str, str],
) -> None:
    """O2, I9: a response is made apart from the database, by another kind's settings too."""
    other = {"ADMIN_SESSION_COOKIE_NAME": "__Host-admin", "SESSION_COOKIE_NAME": "sid"}
    result = called(
        cli,
        *("--prefix", "admin_session.", ROOT / "production.ini", "audit", "--json", "--https"),
        environment=variables | other,
    )
    cookie = [each for each in json.loads(result.stdout) if each["rule"] == "ASVS 3.3.1 3.3.3"]
    assert cookie[0]["evidence"].startswith("__Host-admin; ")
    counted = called(cli, ROOT / "production.ini", "stats", "--json", environment=variables)
    assert json.loads(counted.stdout)["rows"] == 0
