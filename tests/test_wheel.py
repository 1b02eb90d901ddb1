"""The wheel, built and installed where there is nothing else of the project."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

from harness.processes import ROOT, Pserve, clean_environment
from tests.test_pserve import Browser

APART: Final = {"PYTHONPATH": ""}
"""No developer's path leads back to the project."""
NO_SOURCES: Final = (
    *(".git", ".venv*", ".sid", ".*_cache", "__pycache__", "*.egg-info", "*.sqlite*"),
    *("build", "dist", "htmlcov", "myapp-*"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the source distribution, as `make build` makes both."""
    folder, sources = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("sources") / "copy"
    # setuptools gathers the files in a folder beside setup.py, which another worker's would meet.
    shutil.copytree(ROOT, sources, ignore=shutil.ignore_patterns(*NO_SOURCES))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), cwd=sources)
    (found,) = folder.glob("*.whl")
    assert list(folder.glob("*.tar.gz"))
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the wheel, and the dependencies that the tests themselves have."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # What stands in such a file is a folder, whose own .pth files are not read: among them is the
    # one that leads to the project.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    options = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        *options,
        "--target",
        str(site),
        str(wheel),
        cwd=folder,
    )
    return folder / "bin" / "python"


def run(*command: str, cwd: Path) -> str:
    """What a command says; it must succeed, and warn of nothing."""
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(APART), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    warnings = [
        line for line in (done.stdout + done.stderr).splitlines() if "warning" in line.lower()
    ]
    # Whether Python files are compiled is the environment's choice.
    assert not [line for line in warnings if "byte-compiling" not in line]
    return done.stdout


def test_the_wheel_is_complete(python: Path, tmp_path: Path) -> None:
    """V4: pserve, the migrations, templates, static files and the command work from it alone."""
    where = run(str(python), "-c", "import myapp; print(myapp.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(python.parent.parent)
    ini = ROOT / "production.ini"
    words = (
        "database.migrate_on_start=true",
        "session.cookie_secure=false",
        "session.cookie_name=sid",
        # The tests are no part of it: a copy of one page stands for an application's own.
        "pyramid.includes=keeping",
    )
    shutil.copy(ROOT / "tests" / "keeping.py", tmp_path)
    with Pserve(
        ini,
        tmp_path,
        *words,
        environment={"PYTHONPATH": str(tmp_path), "ACCOUNTS_MAIL": "off"},
        interpreter=python,
        started_in=tmp_path,
    ) as pserve:
        browser = Browser(pserve)
        assert browser.store("fruit", "a quince")
        assert browser.sees("a quince")
        assert browser.ask("GET", "/")[0] == 200
        assert browser.ask("GET", "/static/app.css")[0] == 200
        assert browser.ask("GET", "/health")[0] == 200
    command = python.parent.parent.glob("lib/python*/site-packages/bin/myapp-sessions")
    shown = run(
        str(python), str(*command), str(tmp_path / "production.ini"), "schema", cwd=tmp_path
    )
    assert "CREATE TABLE sessions" in shown


def test_every_file_of_the_pages_is_in_the_wheel(wheel: Path) -> None:
    """V4: templates, static files and the like of each feature, without a list to be forgotten.
    What new codebases begin with is taken from a checkout, with everything else.
    """
    skeleton = ROOT / "myapp" / "new" / "skeleton"
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "myapp").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__" and skeleton not in path.parents
    }
    assert files - set(ZipFile(wheel).namelist()) == set()


def test_another_application_includes_the_sessions(python: Path, tmp_path: Path) -> None:
    """V4, I14: `config.include("myapp.sessions")` is all that it needs, and a table."""
    program = tmp_path / "program.py"
    program.write_text(
        "from pyramid.config import Configurator\n"
        "from sqlalchemy import create_engine\n"
        "from myapp.sessions import model\n"
        f"url = 'sqlite:///{tmp_path}/other.sqlite'\n"
        "model.metadata.create_all(create_engine(url))\n"
        "with Configurator(settings={'sqlalchemy.url': url}) as config:\n"
        "    config.include('myapp.sessions')\n"
        "config.make_wsgi_app()\n"
        "print('included')\n"
    )
    assert run(str(python), str(program), cwd=tmp_path) == "included\n"
