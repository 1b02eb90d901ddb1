"""`myapp-sessions INI user`: what accounts tell, and what is told without them."""

from __future__ import annotations

import json
from pathlib import Path

from harness.processes import ROOT
from myapp.scripts.sessions import cli
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session
from tests.command_line import called
from tests.sessions.app import create_table


def test_a_database_without_accounts_hides_no_sessions(tmp_path: Path) -> None:
    """O1: they are printed first, and one line names the database that lacks the rest."""
    url = f"sqlite:///{tmp_path}/shop.sqlite"
    create_table(url)
    far = 2**45
    row = a_session(user_id="42", manager="session", deadline=far, expires_at=far, seen_at=far)
    store = SqlStore(url)
    store.insert(row)
    store.close()
    for words in ((), ("--json",)):
        result = called(
            cli, ROOT / "production.ini", "user", "42", *words, environment={"DATABASE_URL": url}
        )
        assert result.exit_code == 1
        assert str(row.handle) in result.stdout
        assert result.stderr.startswith(
            "Error: can't read accounts from the application's database"
        )
        assert result.stderr.count("\n") == 1
    assert [each["handle"] for each in json.loads(result.stdout)["sessions"]] == [row.handle]
