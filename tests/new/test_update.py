"""A codebase is updated by a three-way merge, on a branch of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.new.codebases import Codebase, Workshop, run

EDITED = (
    "CHANGELOG.md",
    "README.md",
    "blog/models/meta.py",
    "blog/routes.py",
    "blog/static/app.css",
    "blog/templates/error.jinja2",
    "blog/views/home.py",
    "development.ini",
    "docs/changing.md",
    "production.ini",
)
COMMENTS = {".md": "<!-- {} -->", ".jinja2": "{{# {} #}}", ".css": "/* {} */"}
OURS, THEIRS = "ours, and kept", "theirs, and new"


def add_line(folder: Path, path: str, words: str, *, first: bool = False) -> None:
    """Add a comment to a file, at its end or as its first line."""
    comment = COMMENTS.get(Path(path).suffix, "# {}").format(words)
    text = (folder / path).read_text("utf-8")
    (folder / path).write_text(f"{comment}\n{text}" if first else f"{text}{comment}\n", "utf-8")


@pytest.fixture
def own(tmp_path: Path) -> Workshop:
    """A clone with a history of its own."""
    return Workshop.beginning(tmp_path / "workshop")


@pytest.fixture
def blog(own: Workshop, tmp_path: Path) -> Codebase:
    """A codebase from its first commit, whose owner has edited ten files."""
    blog = own.makes(tmp_path / "blog", "--without", "accounts")
    for path in EDITED:
        add_line(blog.folder, path, OURS)
    blog.commit("Ours")
    return blog


def branch(blog: Codebase) -> str:
    """The branch it is on."""
    return run("git", "rev-parse", "--abbrev-ref", "HEAD", at=blog.folder).strip()


def test_edits_are_kept_and_what_is_new_comes_in(own: Workshop, blog: Codebase) -> None:
    """G4: one commit on a branch; the cookie keeps its name; nothing else is written."""
    add_line(own.folder, "myapp/routes.py", THEIRS, first=True)
    add_line(own.folder, "myapp/sessions/core/token.py", THEIRS)
    (own.folder / "myapp/views/news.py").write_text(f'"""{THEIRS}"""\n')
    own.committing("Theirs")
    name, tip = blog.cookie_name, run("git", "rev-parse", "main", at=blog.folder)
    status, said = own.says("--update", blog.folder)
    assert status == 0, said
    assert branch(blog).startswith("update-")
    assert f"git merge {branch(blog)}" in said
    assert run("git", "rev-parse", "main", at=blog.folder) == tip
    assert run("git", "rev-list", "--count", "main..", at=blog.folder) == "1\n"
    assert not run("git", "status", "--porcelain", at=blog.folder)
    assert all(OURS in blog.text(path) for path in EDITED)
    assert all(
        THEIRS in blog.text(path)
        for path in ("blog/routes.py", "blog/sessions/core/token.py", "blog/views/news.py")
    )
    assert blog.cookie_name == name
    blog.passes_its_tests("tests/test_pages.py")
    assert own.says("--update", blog.folder) == (0, f"{blog.folder} is up to date.\n")


def test_a_conflict_is_git_s(own: Workshop, blog: Codebase) -> None:
    """G4: it stands in the file, and giving up leaves nothing."""
    add_line(own.folder, "myapp/routes.py", THEIRS)
    own.committing("Theirs")
    status, said = own.says("--update", blog.folder)
    assert status == 1
    assert "then run `git cherry-pick --continue`: blog/routes.py" in said
    marked = r"<{7} HEAD\n.*ours.*\n={7}\n.*theirs.*\n>{7}"
    assert re.search(marked, blog.text("blog/routes.py"), re.S)
    run("git", "cherry-pick", "--abort", at=blog.folder)
    run("git", "switch", "-", at=blog.folder)
    assert OURS in blog.text("blog/routes.py")
    assert "a branch update-" in own.says("--update", blog.folder)[1]


def test_what_can_t_be_updated_is_one_line(own: Workshop, blog: Codebase) -> None:
    """G4: and nothing is written."""
    before = run("git", "for-each-ref", at=blog.folder)

    def refusal() -> str:
        status, said = own.says("--update", blog.folder)
        assert (status, said.count("\n")) == (1, 1), said
        return said

    add_line(blog.folder, "README.md", "not committed")
    assert "has changes that are not committed: commit or stash them first" in refusal()
    manifest = blog.text("codebase.json")
    blog.write("codebase.json", re.sub(r'"commit": "\w+"', f'"commit": "{"0" * 40}"', manifest))
    blog.commit("Damage")
    assert "is not a commit of" in refusal()
    blog.write("codebase.json", "{")
    blog.commit("More of it")
    assert "codebase.json is damaged" in refusal()
    (blog.folder / "codebase.json").unlink()
    blog.commit("All of it")
    assert "expected a codebase that this command made" in refusal()
    assert "is not a git repository" in own.says("--update", own.folder.parent)[1]
    assert run("git", "for-each-ref", "--format=%(refname)", at=blog.folder).split() == [
        line.split()[-1] for line in before.splitlines()
    ]
