"""The three rules of the package's imports, read off the syntax tree, and its public names."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import myapp.sessions
from harness.processes import ROOT

# What a wing must not know, of the package and of others.
CLOSED_TO = {
    "core": {"sql", "web", "testing", "pyramid", "webob", "zope", "sqlalchemy"},
    "sql": {"web", "testing", "pyramid", "webob", "zope"},
    "web": {"sql", "testing", "sqlalchemy"},
    # What it asks of SQL is Beaker's database. Without its folder and the include the rest runs.
    "moving": {"sql", "testing"},
}
BOTH = ("myapp.sessions.web.include", "myapp.sessions.web.transaction")  # know sql and web
SHARED = {
    *("myapp.database", "myapp.database_url", "myapp.environment", "myapp.pooler"),
    "myapp.setting_table",
}

PUBLIC = [
    "AmbiguousCookies", "ChangeDropped", "Client", "ConflictMerged", "Ending", "LockTimeout",
    "NotStorable", "SaveConflict", "SchemaError", "Session", "SessionCSRFPolicy", "SessionClosed",
    "SessionEnded", "SessionError", "SessionEvent", "SessionInfo", "SessionLost", "SessionManager",
    "SessionMoved", "SessionRenewed", "SessionSecurityPolicy", "SessionStarted", "SessionStore",
    "SessionTooLarge", "SessionUnavailable", "SettingError", "Status", "StoreUnavailable",
    "StoredSession", "TooManyCookies", "UnknownToken", "UnprovenOrigin", "UnreadableData",
    "UnreadableSession", "WrongType", "get_client", "get_manager", "includeme", "make_manager",
    "model",
]  # fmt: skip

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "myapp").rglob("*.py"))
}


def imported(path: Path) -> Iterator[str]:
    """What a module imports, wherever in it; a name that is a module itself counts as that."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else str(node.module) for name in full)


GRAPH = {name: set(imported(path)) for name, path in MODULES.items()}
OURS = [name for name in MODULES if name.startswith("myapp.sessions")]
WINGS = [name for name in OURS if name.split(".")[2:3] != ["testing"] and name != "myapp.sessions"]


@pytest.mark.parametrize("name", WINGS)
def test_a_wing_knows_no_more_than_it_should(name: str) -> None:
    """I10, I13: any store will do, and sessions work outside of requests."""
    closed = {"testing"} if name in BOTH else CLOSED_TO[name.split(".")[2]]
    known = {found.removeprefix("myapp.sessions.").partition(".")[0] for found in GRAPH[name]}
    assert not known & closed


def test_nothing_of_the_application_is_needed() -> None:
    """I: any application can include it; what it shares with ours needs no more of it, either."""
    connecting = {
        *("myapp.bounded_psycopg", "myapp.mysql_connector", "myapp.private_file"),
        "myapp.url_parameters",
    }
    for names, allowed in ((OURS, SHARED), (SHARED, SHARED | connecting)):
        taken = {found for name in names for found in GRAPH[name] & MODULES.keys()}
        assert taken - {*OURS} <= allowed


def test_nothing_knows_of_a_move() -> None:
    """O7: an application without that include pays nothing for it."""
    others = [name for name in OURS if not name.startswith("myapp.sessions.moving")]
    assert not any(f.startswith("myapp.sessions.moving") for name in others for f in GRAPH[name])


def test_there_is_no_circle() -> None:
    """Not even one that an import within a function would hide."""
    graphlib.TopologicalSorter({name: GRAPH[name] & {*OURS} for name in OURS}).prepare()


def test_the_public_names_are_these() -> None:
    """I: to add one is a decision, to take one away breaks somebody's application."""
    assert myapp.sessions.__all__ == PUBLIC
    assert all(hasattr(myapp.sessions, name) for name in PUBLIC)


def test_the_package_itself_only_imports() -> None:
    """The parts meet in `web.include`, and nowhere else."""
    _, *imports, names = ast.parse(MODULES["myapp.sessions"].read_text("utf-8")).body
    assert {type(node) for node in imports} == {ast.ImportFrom}
    assert ast.unparse(names).startswith("__all__ = ")
