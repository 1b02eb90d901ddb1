"""docs/how-to/own-application.md and testing.md, to the letter: their code makes an application."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from harness.processes import ROOT, clean_environment
from tests.own_application import OWN, TESTING, block, write_shop

ALEMBIC = """
from alembic import context
from sqlalchemy import create_engine

{lines}

with create_engine("sqlite:///shop.sqlite").connect() as connection:
    context.configure(connection=connection, {options})
    with context.begin_transaction():
        context.run_migrations()
"""
VISIT = """
from uuid import UUID
from pyramid.paster import get_app
from webtest import TestApp
from sqlalchemy.orm import Session
from shop.models import User

app = get_app("shop.ini", options={"session.sweep_interval": "off"})
id = UUID(int=7)
with Session(app.registry["dbengine"]) as dbsession:
    dbsession.add(User(id=id, active=True))
    dbsession.commit()
visitor = TestApp(app, extra_environ={
    "wsgi.url_scheme": "https", "HTTP_HOST": "localhost", "HTTP_ORIGIN": "https://localhost"})
nobody = {"is": "NoneType", "id": None, "may": False}
assert visitor.get("/who").json == nobody
assert visitor.get("/token").json == ""
visitor.post("/sign_in", headers={"Origin": "https://evil.example"}, status=400)
visitor.post("/sign_in", status=303)
visitor.post("/sign_in", status=303)
assert visitor.get("/who").json == {"is": "User", "id": str(id), "may": True}, visitor.get("/who")
visitor.post("/sign_out", status=400)
visitor.post("/sign_out", {"csrf_token": visitor.get("/token").json}, status=303)
assert visitor.get("/who").json == nobody
"""
DOOMED = """
from uuid import UUID

import pytest
import transaction
import zope.sqlalchemy
from pyramid.paster import get_app
from webtest import TestApp

from myapp.sessions.testing import sign_in, stored_session
from shop.models import Base, User


@pytest.fixture(scope="session")
def app():
    app = get_app("testing.ini")
    Base.metadata.create_all(app.registry["dbengine"])
    return app


@pytest.fixture
def tm():
    tm = transaction.TransactionManager(explicit=True)
    tm.begin()
    tm.doom()
    yield tm
    tm.abort()


@pytest.fixture
def dbsession(app, tm):
    dbsession = app.registry["makes_dbsession"]()
    zope.sqlalchemy.register(dbsession, transaction_manager=tm)
    return dbsession
"""
DOOMED_TESTS = """
@pytest.mark.parametrize("n", range(2))
def test_a_user_signs_in_and_is_rolled_back(testapp, dbsession, n):
    assert dbsession.query(User).count() == 0
    dbsession.add(User(id=UUID(int=7)))
    dbsession.flush()
    assert testapp.get("/who").json["id"] is None
    testapp.post("/sign_in", status=303)
    assert testapp.get("/who").json["id"] == str(UUID(int=7))


def test_a_customer_buys(testapp, dbsession):
    dbsession.add(User(id=UUID(int=7)))
    dbsession.flush()
    sign_in(testapp, str(UUID(int=7)), cart=["tea"])
    with stored_session(testapp) as session:
        token = {"X-CSRF-Token": session.get_csrf_token()}
    assert testapp.post("/buy", headers=token).json == {"bought": ["tea"]}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with an application of one's own."""
    write_shop(tmp_path)
    return tmp_path


def run(shop: Path, *words: str) -> str:
    """Run a Python module or program there, and return its output."""
    path = os.pathsep.join([str(shop), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *words],
        cwd=shop,
        env=clean_environment({"PYTHONPATH": path}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_alembic(shop: Path, lines: str, options: str) -> None:
    """A folder of migrations, as `alembic init` makes it."""
    (shop / "migrations" / "versions").mkdir(parents=True)
    template = (ROOT / "alembic" / "script.py.mako").read_text()
    (shop / "migrations" / "script.py.mako").write_text(template)
    (shop / "migrations" / "env.py").write_text(ALEMBIC.format(lines=lines, options=options))
    (shop / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")


def alembic(shop: Path, *words: str) -> str:
    return run(shop, "-m", "alembic", *words)


def test_users_sign_in_and_out(shop: Path) -> None:
    """I11, I14: a UUID key on SQLite, groups in an ACL, CSRF by default, a migration."""
    metadata = "from shop.models import Base"
    write_alembic(shop, metadata, "target_metadata=Base.metadata")
    alembic(shop, "revision", "--autogenerate", "-m", "sessions")
    alembic(shop, "upgrade", "head")
    alembic(shop, "check")
    run(shop, "-c", VISIT)


def test_an_alembic_that_was_not_told_leaves_the_table_alone(shop: Path) -> None:
    """I14: made by hand, from what the command prints; by `include_object`."""
    sql = run(shop, "-c", "from myapp.scripts.sessions import cli; cli()", "shop.ini", "schema")
    with closing(sqlite3.connect(shop / "shop.sqlite")) as connection:
        connection.executescript(sql)
    lines = f"from shop.models.meta import Base\n{block(OWN, 'def include_object')}"
    lines = lines.replace("shop.models.meta", "othershop")
    (shop / "othershop.py").write_text((shop / "shop" / "models" / "meta.py").read_text())
    write_alembic(shop, lines, "target_metadata=Base.metadata, include_object=include_object")
    alembic(shop, "stamp", "head")
    alembic(shop, "check")


def test_the_tests_of_the_page_pass(shop: Path) -> None:
    """I13: unit tests, functional ones with Origin and token, and the clock."""
    words = ("DummyRequest(", "webtest import TestApp", "memory_manager(clock", "idles_out")
    (shop / "test_page.py").write_text("\n\n".join(block(TESTING, each) for each in words))
    shown = run(shop, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py")
    assert "5 passed" in shown


def test_sessions_are_kept_beside_a_transaction_that_is_never_committed(shop: Path) -> None:
    """I13: the fixtures of Pyramid's tutorial on SQLite, with what the page adds to them."""
    ini = (shop / "shop.ini").read_text()
    store = block(TESTING, "memory_store.MemoryStore").strip()
    (shop / "testing.ini").write_text(ini.replace("[app:main]", f"[app:main]\n{store}"))
    fixture = block(TESTING, '"tm.active": True')
    (shop / "test_doomed.py").write_text("\n\n".join((DOOMED, fixture, DOOMED_TESTS)))
    shown = run(shop, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_doomed.py")
    assert "3 passed" in shown
