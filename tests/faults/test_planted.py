"""The bugs that `make torture/planted` plants: each has a place in the sources as they are now."""

import ast
from pathlib import Path

import pytest

from harness.processes import ROOT
from tests.faults.planted import BUGS, Bug, Check, copied, outcome_of, plant

BY_NAME = {bug.name: bug for bug in BUGS}
SAID = Check(module="said", words=(), found="wrong")


@pytest.mark.parametrize("name", BY_NAME)
def test_each_bug_can_be_planted(name: str, tmp_path: Path) -> None:
    """The text to replace is there, once, and what replaces it is Python."""
    bug = BY_NAME[name]
    copy = tmp_path / bug.file
    copy.parent.mkdir(parents=True)
    copy.write_text((ROOT / bug.file).read_text("utf-8"), "utf-8")
    plant(bug, tmp_path)
    planted = copy.read_text("utf-8")
    assert planted != (ROOT / bug.file).read_text("utf-8")
    ast.parse(planted)


@pytest.mark.parametrize("text", ["nothing", "old old"])
def test_a_bug_that_has_no_single_place_is_not_planted(tmp_path: Path, text: str) -> None:
    """It would be said to be caught, or not, without having been there."""
    (tmp_path / "code.py").write_text(text)
    bug = Bug(name="a bug", file="code.py", old="old", new="new", check=SAID)
    with pytest.raises(LookupError, match=r"a bug: code\.py has [02] places for it"):
        plant(bug, tmp_path)
    assert (tmp_path / "code.py").read_text() == text


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("print('all is wrong'); sys.exit(1)", True),
        ("print('all is well'); sys.exit(1)", False),
        ("print('wrong'); sys.exit(2)", False),
        ("print('wrong')", False),
    ],
)
def test_only_a_check_that_says_so_has_caught_a_bug(
    tmp_path: Path, code: str, caught: bool
) -> None:
    """One that can't run for another reason has not."""
    (tmp_path / "said.py").write_text(f"import sys\n{code}\n")
    assert outcome_of(SAID, tmp_path)[0] is caught


def test_the_copy_is_of_the_sources_alone(tmp_path: Path) -> None:
    """What is not committed, a virtual environment or a database, stays where it is."""
    for name in ("code.py", ".venv/code.py", "myapp.sqlite", "__pycache__/code.pyc"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with copied(tmp_path) as copy:
        assert [path.name for path in copy.iterdir()] == ["code.py"]
    assert not copy.exists()


def test_each_test_that_is_to_catch_a_bug_is_there() -> None:
    """And is a file of tests."""
    named = [word for bug in BUGS if bug.check.module == "pytest" for word in bug.check.words]
    files = [word for word in named if word.startswith("tests/")]
    assert files
    assert all((ROOT / file).is_file() for file in files)
