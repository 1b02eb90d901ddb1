"""A codebase of one's own: what is in it, and what is refused."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result

from harness.processes import ROOT
from myapp.new import source
from myapp.new.answers import Answers
from myapp.new.command import main
from myapp.new.files import CannotMake, Files, write
from myapp.new.leaving_out import leave_out
from myapp.new.manifest import read_manifest
from myapp.new.markers import cut, names_in
from myapp.new.names import refuse_unusable
from myapp.new.wheel import FOUNDATION, FROM_THE_WHEEL
from tests.command_line import called
from tests.new.codebases import Codebase, Workshop, run
from tests.operators.test_audit import TOLD

MOST_FILES = 150
# Its own tests of the session package take longer; `make test/codebases` runs them too.
QUICK = ("--ignore", "tests/sessions/test_store.py")


def test_it_passes_its_tests_and_nothing_is_called_myapp(blog: Codebase) -> None:
    """G1, G5: its own tests, without installing; only the page about updates names the origin."""
    blog.passes_its_tests(*QUICK)
    named = [path for path in blog.files() if re.search(r"(?i)myapp", blog.text(path))]
    assert named == ["docs/updating.md"]
    assert not [path for path in blog.files() if "myapp" in path]
    blog.python("ruff", "format", "--check", "--no-cache")
    blog.python("ruff", "check", "--no-cache")


def test_it_is_small(blog: Codebase) -> None:
    """G2: the application, its tests and its docs, and no workshop. Features come on top, and what
    operators ask of the sessions.
    """
    files = blog.files()
    on_top = re.compile(r"/(trial|logs|metrics|scripts/sessions)/")
    assert len([path for path in files if not on_top.search(path)]) <= MOST_FILES
    assert {path.partition("/")[0] for path in files} & {"bench", "harness", "dist"} == set()
    assert not [path for path in files if "decisions" in path or path.startswith("blog/new/")]


def test_a_feature_left_out_leaves_nothing(blog: Codebase) -> None:
    """G1: neither folder, line, setting, requirement nor migration; the chain has no gap."""
    for path in ("blog/__init__.py", "development.ini", "production.ini", "setup.cfg"):
        assert not re.search(r"(?i)accounts\b(?!\.\n)", blog.text(path)), path
    assert not [path for path in blog.files() if "accounts" in path]
    assert not re.search(r"^(argon2|wtforms|playwright)", blog.text("requirements-dev.txt"), re.M)
    assert re.search(r"^pyramid==", blog.text("requirements.txt"), re.M)


def test_the_title_is_shown_as_it_was_given(blog: Codebase) -> None:
    """G1: on each page, whatever is in it; the template escapes it."""
    title = 'Ann\'s "Blog" & <Co>'
    template = blog.text("blog/templates/base.jinja2")
    assert f"set site_title = {json.dumps(title)} " in template
    assert blog.text("README.md").startswith(f"# {title}\n")


def test_the_cookie_has_a_name_of_its_own(workshop: Workshop, blog: Codebase) -> None:
    """G1: `session_` and 8 characters; `__Host-Http-` before it in production."""
    assert re.fullmatch(r"session_[a-z0-9]{8}", blog.cookie_name)
    production = blog.text("production.ini")
    assert f"\nsession.cookie_name = __Host-Http-{blog.cookie_name}\n" in production
    assert blog.cookie_name not in (workshop.folder / "development.ini").read_text("utf-8")


def test_the_manifest_says_where_it_came_from(blog: Codebase) -> None:
    """G4: commit, generator and answers."""
    manifest = json.loads(blog.text("codebase.json"))
    assert re.fullmatch(r"[0-9a-f]{40}", manifest["commit"])
    assert re.fullmatch(r"[0-9a-f]{16}", manifest["generator"])
    assert manifest["answers"]["cookie_name"] == blog.cookie_name
    assert manifest["answers"]["features"] == ["trial", "logs", "metrics"]


def test_the_commands_know_one_that_requires_the_sessions(
    workshop: Workshop, tmp_path: Path
) -> None:
    """G1, O2: its settings and features are those of its own package, and the audit asks it."""
    blog = workshop.makes(tmp_path / "blog", "--require-sessions", "--without", "trial")
    blog.python("alembic", "upgrade", "head")
    words = "import sys; from myapp.scripts.sessions import cli; cli(sys.argv[1:])"
    told = blog.environment() | TOLD
    command = [sys.executable, "-c", words, "production.ini"]
    config = run(*command, "config", at=blog.folder, **told)
    shown = {line.split()[0] for line in config.splitlines()}
    assert {"blog.hsts", "accounts.mail", "logs.format", "metrics.listen"} <= shown
    audited = run(*command, "audit", "--json", "--https", at=blog.folder, **told)
    lines = {line["rule"]: line for line in json.loads(audited)}
    assert {"ASVS 6.2.1, NIST 3.1.1", "ASVS 13.4.5", "ASVS 16.2.5"} <= lines.keys()
    assert lines["ASVS 3.4.1"]["evidence"].endswith("(GET /: 200)")


# What is refused.


def says(*words: str | Path) -> Result:
    """What `python -m myapp.new …` says."""
    return called(main, *words)


REFUSED = {
    "a folder that is there": (".", "already exists"),
    "a keyword": ("class", "a Python keyword"),
    "a module of Python's": ("email", "a module of the standard library"),
    "tests": ("test", "a name that the codebase does not use"),
    "a feature": ("accounts", "a name that the codebase does not use"),
    "a dependency": ("pyramid", "an installed package"),
    "this package": ("myapp", "an installed package"),
    "no name": ("9-lives", "lower-case letters"),
    "capitals with accents": ("é", "lower-case letters"),
    "a long name": ("a" * 31, "at most 30"),
    "no folder to be in": ("nowhere/blog", "is not a folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_t_be_made_is_one_line(case: str, tmp_path: Path) -> None:
    """G1: and nothing is written."""
    name, words = REFUSED[case]
    result = says(tmp_path / name, "--yes")
    assert result.exit_code == 1
    assert words in result.output
    assert result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_feature_or_commit_is_one_line(tmp_path: Path) -> None:
    """G1: with those that there are."""
    result = says(tmp_path / "blog", "--yes", "--without", "acounts")
    assert "feature = 'acounts': expected one of accounts, trial" in result.output
    result = says(tmp_path / "blog", "--yes", "--commit", "nowhere")
    assert "nowhere is not a commit of" in result.output
    assert not list(tmp_path.iterdir())


def test_without_a_checkout_it_says_so(tmp_path: Path) -> None:
    """G1: as it is when the package was installed from its wheel."""
    with pytest.raises(CannotMake, match="is not a git checkout: expected a clone"):
        source.commit_of("HEAD", tmp_path)


def test_a_usable_name_is_taken() -> None:
    """G1: whatever is nobody else's."""
    for name in ("blog", "my_blog", "b2b"):
        refuse_unusable(name)


# How it is made.


def committed() -> Files:
    """The files of the project as they lie here."""
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    paths = [path for path in listed.split("\0") if path and (ROOT / path).is_file()]
    return {path: (ROOT / path).read_bytes() for path in paths}


def test_markers_balance() -> None:
    """G1: in every file that has some, for each of their names."""
    known = {"accounts", "trial", "metrics", "migrations", "no migrations", "embedded", "required"}
    known |= {"sqlite", "postgresql", "mariadb", "workshop"}
    found = set[str]()
    for path, content in committed().items():
        if path.endswith((".png", ".svg", "test_new.py")):
            continue
        text = content.decode()
        found |= names_in(text)
        cut(text, set(), path)
    assert found <= known


def test_a_marker_that_is_not_closed_is_an_error() -> None:
    """G1: with the file that has it."""
    with pytest.raises(CannotMake, match=r"a\.py: <trial> is not closed"):
        cut("# <trial>\nx = 1\n", set(), "a.py")
    with pytest.raises(CannotMake, match=r"a\.py:1: </trial> closes"):
        cut("# </trial>\n", set(), "a.py")


def test_the_migration_after_one_left_out_follows_the_one_before() -> None:
    """G1: `down_revision` is linked again, several times in a row if need be."""
    chain = {"1": ("None", "sessions"), "2": ('"1"', "polls"), "3": ('"2"', "polls_dates")}
    chain["4"] = ('"3"', "notes")
    files: Files = {
        f"alembic/versions/{number}_{slug}.py": (
            f'revision = "{number}"\ndown_revision = {before}\n'.encode()
        )
        for number, (before, slug) in chain.items()
    }
    files["myapp/__init__.py"] = b'            config.include("myapp.polls")\n'
    leave_out(files, "polls")
    assert sorted(files) == [
        "alembic/versions/1_sessions.py",
        "alembic/versions/4_notes.py",
        "myapp/__init__.py",
    ]
    assert b'down_revision = "1"' in files["alembic/versions/4_notes.py"]


def test_what_the_sessions_import_comes_with_their_wheel() -> None:
    """G2: and nothing else of the application; a module of both would make two of each error."""
    seen, todo = set[str](), ["sessions"]
    while todo:
        name = todo.pop()
        folder = ROOT / "myapp" / name
        paths = [*folder.rglob("*.py")] if folder.is_dir() else [folder.with_suffix(".py")]
        found = {module for path in paths for module in imported(path)} - seen - {name}
        seen |= found
        todo += sorted(found)
    assert seen - {"sessions"} == set(FOUNDATION)


def test_what_comes_with_the_wheel_is_there() -> None:
    """G2: a path that nothing has would be copied into the codebase instead."""
    assert [path for path in FROM_THE_WHEEL if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("package", "../elsewhere"),
        ("package", "/elsewhere"),
        ("package", "a; import os"),
        ("cookie_name", "a\nx = 1"),
        ("title", "a\nx = 1"),
        ("holder", ""),
        ("year", "2026"),
        ("database", "oracle"),
        ("licence", "GPL"),
        ("features", [1]),
        ("migrations", "no"),
    ],
)
def test_a_manifest_that_somebody_has_changed_is_refused(
    tmp_path: Path, name: str, value: object
) -> None:
    """G4: its answers become paths and code."""
    answers = Answers(
        package="blog", title="Blog", cookie_name="session_x", year=2026, holder="Ann"
    )
    changed = answers.as_json() | {name: value}
    manifest = {"commit": "0" * 40, "generator": "", "answers": changed}
    (tmp_path / "codebase.json").write_text(json.dumps(manifest))
    with pytest.raises(CannotMake, match=f"{name} can't be"):
        read_manifest(tmp_path)


def test_no_file_is_written_outside_of_its_folder(tmp_path: Path) -> None:
    """G1: whatever a path has become."""
    folder = tmp_path / "blog"
    with pytest.raises(CannotMake, match="outside"):
        write({"../evil.py": b""}, folder)
    assert not (tmp_path / "evil.py").exists()


def imported(path: Path) -> set[str]:
    """The parts of this project that a module imports."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "myapp":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("myapp."):
            names.add((node.module or "").split(".")[1])
    return names
