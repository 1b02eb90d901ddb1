"""The bugs that `make torture/planted` plants: each has its function in the sources as they are."""

import inspect
import shutil
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from harness.processes import ROOT, clean_environment
from tests.faults.bugs.bug import BUGS, Bug, Check
from tests.faults.planted import copied, outcome_of
from tests.faults.planting import plant

SAID = Check(module="said", words=(), found="wrong")
ANYTHING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
# Two managers, one token: the rows differ, unless the bug is there. By way of a module that
# imports the function by its name, as most do.
ASKED = """
from myapp.sessions.core import loading, token
assert loading.digest is token.digest
print(loading.digest("one", "x") == loading.digest("other", "x"))
"""


@pytest.mark.parametrize("name", BUGS)
def test_each_bug_stands_in_for_a_function_that_is_there(name: str) -> None:
    """It takes what the function takes, or what catches it would catch a TypeError."""
    bug = BUGS[name]
    taken = _names(resolve_name(bug.function))
    _, *given = inspect.signature(bug.does).parameters.values()
    if not any(each.kind in ANYTHING for each in given):
        assert len(given) == len(taken)
    by_name = [each.name for each in given if each.kind is inspect.Parameter.KEYWORD_ONLY]
    assert set(by_name) <= set(taken)


def _names(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("planted", [False, True])
def test_whoever_imports_a_function_gets_the_bug_that_was_planted_in_its_place(
    tmp_path: Path, planted: bool
) -> None:
    """In a process of its own, which begins with the copy."""
    for folder in ("harness", "myapp", "tests/faults"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    if planted:
        plant(BUGS["a digest without the manager's name (L10)"], tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", ASKED], cwd=tmp_path, env=clean_environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{planted}\n", "")


@pytest.mark.parametrize("function", ["myapp.sessions.core.token:nothing", "myapp.nowhere:digest"])
def test_a_bug_whose_function_is_gone_is_not_planted(tmp_path: Path, function: str) -> None:
    """It would be said to be caught, or not, without having been there."""
    bug = Bug(name="a bug", function=function, does=print, check=SAID)
    with pytest.raises(LookupError, match=f"a bug: there is no {function}"):
        plant(bug, tmp_path)
    assert list(tmp_path.iterdir()) == []


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
    checks = [bug.check for bug in BUGS.values() if bug.check.module == "pytest"]
    files = [word for check in checks for word in check.words if word.startswith("tests/")]
    assert files
    assert all((ROOT / file).is_file() for file in files)
