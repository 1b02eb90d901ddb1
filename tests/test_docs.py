"""What README and docs say is true as far as a machine can tell: names, links, examples."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness.processes import ROOT
from myapp.sessions import Session, SessionManager
from myapp.sessions.core.settings import TABLE
from myapp.sessions.sql.model import table
from myapp.sessions.testing import memory_manager

DOCS = ROOT / "docs"
SESSIONS = ROOT / "myapp" / "sessions"
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
API = DOCS / "reference" / "api.md"
DESIGN = DOCS / "explanation" / "design.md"
FAST_PATH = DOCS / "explanation" / "fast-path.md"
SECURITY = DOCS / "explanation" / "security.md"

# Pages that another test follows to the letter in a copy of the project, where they add modules.
DONE_IN_A_COPY = (DOCS / "how-to" / "models.md", DOCS / "tutorial" / "signed-in.md")

WORDS_IN_THREE_MINUTES = 900

# What the pages say of these stays there when their folders are deleted.
FEATURES = ("accounts", "logs", "metrics", "trial")
DELETED = tuple(feature for feature in FEATURES if find_spec(f"myapp.{feature}") is None)

# Attributes that a manager has besides its methods.
PARTS = vars(memory_manager()).keys()


def each(*things: Any) -> Callable[[Callable[[Any], None]], Callable[[pytest.Subtests], None]]:
    """Make of a check of one thing a test of all of them, which names every one that fails."""

    def decorate(check: Callable[[Any], None]) -> Callable[[pytest.Subtests], None]:
        def test(subtests: pytest.Subtests) -> None:
            for thing in things:
                with subtests.test(str(thing)):
                    check(thing)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


every_page = each(*PAGES)


def fences(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each fenced block."""
    for indent, language, text in re.findall(
        r"^( *)```(\w*)\n(.*?)^ *```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        yield language, textwrap.dedent(indent + text)


@cache
def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def named(page: Path) -> set[str]:
    """Every identifier that stands in backticks, alone or in a list or a call."""
    quoted = " ".join(re.findall(r"`([^`\n]+)`", prose(page)))
    return set(re.findall(r"[A-Za-z_]\w*", quoted))


def anchors(page: Path) -> set[str]:
    """The fragments that lead to the headings of a page, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def public(kind: type) -> set[str]:
    """The names of a class that do not begin with an underscore."""
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_readme_is_read_in_a_moment() -> None:
    """At most 100 lines, the two commands among the first 25."""
    lines = PAGES[0].read_text("utf-8").splitlines()
    assert len(lines) <= 100
    assert {"    $ make serve", "    $ make test"} <= set(lines[:25])


@every_page
def test_a_page_is_read_in_three_minutes(page: Path) -> None:
    """What is longer is two pages; a reference is looked up, and not read."""
    if DOCS / "reference" not in page.parents:
        assert len(prose(page).split()) <= WORDS_IN_THREE_MINUTES


@every_page
def test_a_link_leads_somewhere(page: Path) -> None:
    """Each relative link is a file or a folder, and its fragment a heading there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, fragment = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not fragment or fragment in anchors(there), target


@each(*PAGES[1:])
def test_a_page_is_linked(page: Path) -> None:
    """From another one, or by the folder of decisions: nothing is found by chance alone."""
    linked = {
        (other.parent / target.partition("#")[0]).resolve()
        for other in PAGES
        if other != page
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(other))
    }
    assert linked & {page, page.parent}


@every_page
def test_an_example_in_python_compiles(page: Path) -> None:
    """Each block marked as Python."""
    for language, text in fences(page):
        if language == "python":
            compile(text, str(page), "exec")


@every_page
def test_an_example_imports_what_there_is(page: Path) -> None:
    """I10, I13: every name an example takes from this project is there, or made by its page."""
    if page in DONE_IN_A_COPY:
        return
    for module, statement in imports(page):
        if not is_deleted(module):
            exec(statement)


def is_deleted(module: str) -> bool:
    """Whether a module was part of a feature that has been taken out."""
    return module.startswith(tuple(f"myapp.{feature}" for feature in DELETED))


def imports(page: Path) -> Iterator[tuple[str, str]]:
    """What the examples of a page take from this project: the module, and the statement."""
    for language, text in fences(page):
        for node in ast.walk(ast.parse(text)) if language == "python" else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("myapp"):
                yield node.module or "", ast.unparse(node)


@every_page
def test_a_named_setting_exists(page: Path) -> None:
    """C4: in text and examples alike, whatever the prefix of its manager."""
    text = re.sub(r"`?\bfrom myapp.*|import .*", "", page.read_text("utf-8"))
    for name in re.findall(r"\bsession\.(\w+)(?= ?=)", text):
        assert name in TABLE or name in public(Session), name
    for name in re.findall(r"`session\.(\w+)`", text):
        assert name in TABLE or name in public(Session), name
    for name in re.findall(r"\bADMIN_SESSION_(\w+)|\bSESSION_(\w+)(?==)", text):
        assert "".join(name).lower() in TABLE, name


@every_page
def test_a_named_target_of_make_exists(page: Path) -> None:
    """In commands, and where a text says `make serve`."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {
        name
        for line in re.findall(r"^([a-z][a-z/ -]*):", makefile, re.MULTILINE)
        for name in line.split()
    }
    commands = re.findall(
        r"(?:^ {4}[^#\n]*|`)\bmake ([a-z][a-z/-]*)", page.read_text("utf-8"), re.M
    )
    assert set(commands) <= targets


def test_every_target_of_make_is_described() -> None:
    """In the reference of commands."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    described = (DOCS / "reference" / "commands.md").read_text("utf-8")
    for line in re.findall(r"^([a-z][a-z/ -]*):.*## ", makefile, re.MULTILINE):
        for name in line.split():
            assert f"`make {name}`" in described


@each(*range(1, 15))
def test_every_promise_of_the_interface_is_described(number: int) -> None:
    """I1 to I14 each have a line."""
    assert f"| I{number} | " in API.read_text("utf-8")


@each(*sorted(public(Session)))
def test_everything_of_a_session_is_described(name: str) -> None:
    """I1: methods and properties, those for the manager included."""
    assert name in named(API)


@each(*sorted(public(SessionManager) | PARTS))
def test_everything_of_a_manager_is_described(name: str) -> None:
    """I13: methods and parts."""
    assert name in named(API)


def test_every_public_name_is_described() -> None:
    """What `myapp.sessions` exports."""
    import myapp.sessions

    assert set(myapp.sessions.__all__) - {"includeme"} <= named(API)


def test_every_event_is_described() -> None:
    """I12: with the fields that are its own."""
    from myapp.sessions.core import events

    described = named(DOCS / "how-to" / "events.md")
    kinds = {
        name
        for name, kind in vars(events).items()
        if getattr(kind, "__mro__", ()) and issubclass(kind, events.SessionEvent)
    }
    assert kinds <= described
    for kind in kinds:
        assert set(getattr(events, kind).__annotations__) <= described


def test_every_column_is_described() -> None:
    """I14: with its indexes."""
    described = named(DOCS / "reference" / "table.md")
    assert set(table.columns.keys()) <= described
    assert {str(index.name) for index in table.indexes} <= described


@each(*DECISIONS)
def test_a_decision_has_its_three_parts(page: Path) -> None:
    """And a number, which is that of its file."""
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert text.startswith(f"# {int(page.name[:4])}. ")


def test_decisions_are_numbered_without_gaps() -> None:
    """The next one takes the next number."""
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_picture_of_the_house_is_true() -> None:
    """Every module of the session package is in it, and no other; the application's may change."""
    drawn, folders = set(), dict[int, str]()
    for line in _drawn_below("sessions/").splitlines():
        indent = len(line) - len(line.lstrip())
        names = re.split(r" {3,}", line.strip())[0].split()
        folders = {outer: folder for outer, folder in folders.items() if outer < indent}
        if names[0].endswith("/"):
            folders[indent] = names[0]
        drawn |= {"".join(folders.values()) + name for name in names if name[-1] != "/"}
    modules = {
        path.relative_to(SESSIONS).with_suffix("").as_posix() for path in SESSIONS.rglob("*.py")
    }
    # A folder stands for its __init__ too.
    assert {name for name in drawn if "__init__" not in name} == {
        name for name in modules if "__init__" not in name
    }


def _drawn_below(folder: str) -> str:
    """The lines of the picture that stand for what is in a folder."""
    picture = next(text for language, text in fences(DESIGN) if not language)
    found = re.search(rf"^( *){folder}.*\n((?:\1 +\S.*\n)*)", picture, re.MULTILINE)
    assert found is not None
    return found[2]


def test_every_step_of_the_fast_path_exists() -> None:
    """Each `module.name` on its page, be it with the wing in front, is defined by the module."""
    for text in re.findall(r"`([a-z_]+\.[\w.]+)`", prose(FAST_PATH)):
        wing, _, rest = text.partition(".")
        module, *names = (rest if (SESSIONS / wing).is_dir() else text).split(".")
        if module == "request":  # Pyramid's
            continue
        sources = [path.read_text("utf-8") for path in SESSIONS.rglob(f"{module}.py")]
        assert any(all(_defines(source, name) for name in names) for source in sources), text


def _defines(source: str, name: str) -> bool:
    return bool(re.search(rf"^ *(?:def |class )?{name}\b *[(:=]", source, re.MULTILINE))


def test_what_is_said_to_be_safe_has_a_proof() -> None:
    """Every id in the last column of the first table stands in a test."""
    assert unproved("Met") == set()


def unproved(heading: str) -> set[str]:
    """The ids in the last column of a table of the page on security that stand in no test."""
    met = prose(SECURITY).partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|.*\| ([^|]+) \|$", met, re.MULTILINE)[1:]
    ids = {id for row in rows for id in row.split(", ")}
    assert ids
    here = Path(__file__)
    tests = "\n".join(
        path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py") if path != here
    )
    tests += (SESSIONS / "testing" / "contract.py").read_text("utf-8")
    return {id for id in ids if not re.search(rf"\b{re.escape(id)}\b", tests)}


@every_page
def test_no_page_knows_this_machine(page: Path) -> None:
    """No path of whoever wrote it, and no index of packages."""
    text = page.read_text("utf-8")
    folders = [f"/{name}/" for name in ("root", "home", "tmp", "work")]
    for word in (*folders, "pypi", "site-packages"):
        assert word not in text.lower()
