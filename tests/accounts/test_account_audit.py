"""What operators learn of accounts by the commands for sessions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.processes import ROOT
from myapp.scripts.sessions import cli
from tests.accounts.people import Person, Site
from tests.command_line import called
from tests.operators.test_audit import TOLD, audit, failed
from tests.sessions.app import create_table

BROKEN = [
    ({"ACCOUNTS_THROTTLE": "false"}, "accounts.throttle"),
    ({"ACCOUNTS_CONFIRM_EMAIL": "false"}, "accounts.confirm_email"),
    ({"ACCOUNTS_MAIL": "print"}, "accounts.mail"),
    ({"ACCOUNTS_MAIL": "off"}, "accounts.mail"),
    ({"ACCOUNTS_URL": "http://example.com"}, "accounts.url"),
]


@pytest.mark.parametrize(("broken", "named"), BROKEN)
def test_each_broken_setting_is_named(tmp_path: Path, broken: dict[str, str], named: str) -> None:
    """O2, A3: what weakens accounts is a line of the audit."""
    url = f"sqlite:///{tmp_path}/production.sqlite"
    create_table(url)
    status, lines = audit(TOLD | {"DATABASE_URL": url} | broken, "--https")
    assert status == 1
    assert any(named in line["to_set"] for line in failed(lines)), failed(lines)


def test_the_audit_shows_no_password_of_the_mail_server(tmp_path: Path) -> None:
    """R6: neither in the evidence nor in what to set."""
    url = f"sqlite:///{tmp_path}/production.sqlite"
    create_table(url)
    mail = {"ACCOUNTS_MAIL": "smtp://user:hunter2@mail.example.com", "DATABASE_URL": url}
    assert "hunter2" not in str(audit(TOLD | mail, "--https"))


def test_a_user_is_shown_with_attempts_and_events(each_site: Site) -> None:
    """O1: sessions, what the throttles count at present, and what happened last."""
    ann = Person(each_site)
    ann.has_an_account()
    stranger = Person(each_site)
    for _ in range(11):
        stranger.signs_in("not the password of ann")
    settings = each_site.app.registry.settings
    environment = {"DATABASE_URL": settings["sqlalchemy.url"], **TOLD}
    result = called(cli, ROOT / "production.ini", "user", "1", "--json", environment=environment)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["account"]["email"] == "ann@example.com"
    assert len(found["sessions"]) == 1
    counted = {each["limit"]: each for each in found["attempts"]}["sign-in, account"]
    assert counted["counted"] == counted["allowed"] == 10
    assert counted["wait_seconds"] > 0
    assert found["events"][-1]["what"] == "signed-up"
    for words in (("user", "1"), ("user", "7"), ("user", "nobody")):
        shown = called(cli, ROOT / "production.ini", *words, environment=environment)
        assert shown.exit_code == 0, shown.output
        assert "attempts" in shown.stdout
