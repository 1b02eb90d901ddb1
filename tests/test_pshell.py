"""`pshell`, started as a developer starts it, with lines typed into it."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.processes import ROOT, clean_environment


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """development.ini, with a database beside it."""
    copy = tmp_path / "development.ini"
    copy.write_text((ROOT / "development.ini").read_text())
    return copy


def typed(ini: Path, *lines: str) -> str:
    """Return what pshell prints while these lines are typed."""
    done = subprocess.run(
        [sys.executable, "-m", "pyramid.scripts.pshell", str(ini), "--python-shell", "python"],
        input="\n".join(lines) + "\n",
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_what_is_not_committed_is_rolled_back(ini: Path) -> None:
    """V4: [pshell] has request, dbsession and a transaction that ends in a rollback."""
    start = (
        "from sqlalchemy import text",
        "from zope.sqlalchemy import mark_changed",
        "def run(sql): mark_changed(dbsession, tm); return dbsession.execute(text(sql))",
        "",
    )
    typed(
        ini,
        *start,
        "_ = run('CREATE TABLE notes (body TEXT)')",
        "_ = run(\"INSERT INTO notes VALUES ('kept')\")",
        "tm.commit()",
    )
    typed(ini, *start, "_ = run(\"INSERT INTO notes VALUES ('dropped')\")")
    shown = typed(ini, *start, "print(run('SELECT body FROM notes').scalars().all(), request.path)")
    assert "['kept'] /" in shown
