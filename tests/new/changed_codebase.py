"""What an owner does with a codebase, by its own docs: tests and checks go on passing.

`make test/codebases` runs this; the file's name keeps it out of `make test`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.new.codebases import Codebase, Workshop

ABOUT = '''"""The page about us."""

from webtest import TestApp


def test_who_we_are(testapp: TestApp) -> None:
    """It is there."""
    assert "About us" in testapp.get("/about")
'''


@pytest.fixture(scope="module", params=["--migrations", "--no-migrations"])
def blog(
    request: pytest.FixtureRequest, workshop: Workshop, tmp_path_factory: pytest.TempPathFactory
) -> Codebase:
    """A codebase with everything."""
    return workshop.makes(tmp_path_factory.mktemp("changed") / "blog", request.param)


def blocks(page: str) -> list[str]:
    """The fenced blocks of a page."""
    return re.findall(r"^```\w+\n(.*?)^```$", page, re.M | re.S)


def test_its_owner_changes_everything(blog: Codebase) -> None:
    """G3: a view, a model, a migration, a setting, a dependency; then both features go."""
    route, view, template, model, imported, setting = blocks(blog.text("docs/changing.md"))
    blog.write("blog/routes.py", blog.text("blog/routes.py") + route)
    blog.write("blog/views/about.py", view)
    blog.write("blog/templates/about.jinja2", template)
    blog.write("tests/test_about.py", ABOUT)
    blog.write("blog/models/note.py", model)
    line = "from blog.models.probe import DatabaseProbe\n"
    blog.replace("blog/models/__init__.py", line, imported + line)
    add_table(blog)
    blog.replace("blog/settings.py", HSTS, f"    {setting.strip()},\n{HSTS}")
    blog.replace("blog/settings.py", "    hsts: bool\n", "    hsts: bool\n    closed: bool\n")
    read = '        hsts=values["blog.hsts"],\n'
    blog.replace("blog/settings.py", read, read + '        closed=values["blog.closed"],\n')
    blog.replace("setup.cfg", "    rich >=13\n", "    rich >=13\n    pygments\n")
    blog.python("ruff", "format", "--quiet", "--no-cache")
    blog.passes_its_checks()
    blog.passes_its_tests()
    for feature in ("accounts", "trial"):
        take_out(blog, feature)
    blog.passes_its_checks()
    blog.passes_its_tests()


HSTS = '    bool_setting(\n        "blog.hsts"'


def add_table(blog: Codebase) -> None:
    """As the page says: by a migration, or by the SQL."""
    if not (blog.folder / "alembic").is_dir():
        blog.write("schema.sql", blog.python("blog.scripts.schema", "sqlite"))
        return
    blog.python("alembic", "upgrade", "head")
    blog.python("alembic", "revision", "--autogenerate", "-m", "add notes")
    (written,) = (blog.folder / "alembic" / "versions").glob("*_add_notes.py")
    assert "notes" in written.read_text("utf-8")
    blog.python("ruff", "check", "--quiet", "--fix-only", "--no-cache", "alembic/versions")
    blog.python("alembic", "upgrade", "head")


def take_out(blog: Codebase, feature: str) -> None:
    """As the page says."""
    blog.replace("blog/__init__.py", f'            config.include("blog.{feature}")\n', "")
    for folder in (Path("blog"), Path("tests")):
        for path in sorted((blog.folder / folder / feature).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (blog.folder / folder / feature).rmdir()
    if not (blog.folder / "alembic").is_dir():
        blog.write("schema.sql", blog.python("blog.scripts.schema", "sqlite"))
