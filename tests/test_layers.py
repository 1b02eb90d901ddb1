"""Imports go downwards only, read off the syntax tree: what a page of design says stays true."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import myapp.sessions
from tests.processes import ROOT, clean_environment

PACKAGE = ROOT / "myapp"

# From the bottom to the top: a module imports, of myapp, only what stands in a lower row.
LAYERS = (
    (
        *("myapp.environment", "myapp.bounded_psycopg", "myapp.models.meta"),
        *("myapp.sessions.web.client", "myapp.sessions.core.errors", "myapp.sessions.core.events"),
        *("myapp.sessions.attributes", "myapp.sessions.core.fork", "myapp.sessions.core.lifetime"),
        *("myapp.sessions.sql.model", "myapp.sessions.sql.compiled"),
        *("myapp.sessions.core.store", "myapp.sessions.core.token"),
    ),
    ("myapp.setting_table",),
    (
        *("myapp.database", "myapp.sessions.sql.breaker", "myapp.sessions.core.codec"),
        *("myapp.sessions.core.settings", "myapp.sessions.sql.statements"),
        *("myapp.sessions.testing.contract", "myapp.sessions.core.sweep"),
    ),
    (
        *(
            "myapp.sessions.web.cookie",
            "myapp.sessions.testing.memory_store",
            "myapp.sessions.core.merge",
        ),
        *("myapp.sessions.core.session", "myapp.sessions.sql.writer", "myapp.settings"),
    ),
    ("myapp.sessions.sql.pool", "myapp.sessions.core.loading"),
    ("myapp.sessions.core.saving", "myapp.sessions.sql.store"),
    ("myapp.sessions.core.manager",),
    ("myapp.sessions.web.headers", "myapp.sessions.web.policy"),
    ("myapp.sessions.web.factory",),
    ("myapp.sessions.web.transaction",),
    ("myapp.sessions",),
    ("myapp.sessions.testing",),
    (
        *("myapp.headers", "myapp.migrations", "myapp.routes", "myapp.server"),
        *("myapp.models.probe", "myapp.models.retry"),
        *("myapp.views.contents", "myapp.views.errors", "myapp.views.forms", "myapp.views.health"),
        "myapp.views.reading",
    ),
    ("myapp.models", "myapp.views.home", "myapp.views.trial"),
    ("myapp.views",),
    ("myapp",),
    (
        *("myapp.scripts", "myapp.scripts.reference", "myapp.scripts.session_name"),
        "myapp.scripts.sessions",
    ),
)

# What knows nothing else of myapp, and so can be read first.
LEAVES = (
    *("attributes", "client", "errors", "events", "fork", "lifetime", "model", "prepared"),
    *("store", "token"),
)

PUBLIC = [
    *("LockTimeout", "NotStorable", "SaveConflict", "SchemaError", "Session", "SessionCSRFPolicy"),
    *("SessionClosed", "SessionError", "SessionInfo", "SessionLost", "SessionManager"),
    *("SessionSecurityPolicy", "SessionStore", "SessionTooLarge", "SessionUnavailable"),
    *("SettingError", "Status", "StoreUnavailable", "UnreadableData", "WrongType", "get_manager"),
    "includeme",
]


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """What a module imports, wherever in it: the module and the name, if one is taken from it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports by a relative name"
            yield from ((node.module or "", alias.name) for alias in node.names)


def modules_in(path: Path) -> set[str]:
    """The modules that a module imports; a name that is a module itself counts as that."""
    pairs = ((module, f"{module}.{name}") for module, name in imported(path))
    return {full if full in MODULES else module for module, full in pairs}


GRAPH = {name: modules_in(path) - {name} for name, path in MODULES.items()}


def reached(name: str) -> set[str]:
    """All that a module imports, and what that imports in turn."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = GRAPH.get(waiting.pop(), set()) - found
        found |= new
        waiting.extend(new)
    return found


def packages(modules: set[str]) -> set[str]:
    """The packages in which modules are."""
    return {module.partition(".")[0] for module in modules}


def test_every_module_has_its_place() -> None:
    """A new module is put into a layer above, where its author thinks about what it may know."""
    placed = [name for layer in LAYERS for name in layer]
    assert sorted(placed) == sorted(MODULES)


@pytest.mark.parametrize("height", range(len(LAYERS)))
def test_a_module_imports_lower_layers_only(height: int) -> None:
    """What is below can be understood, and tested, without what is above."""
    lower = {name for layer in LAYERS[:height] for name in layer}
    wrong = {
        name: sorted(above)
        for name in LAYERS[height]
        if (above := (GRAPH[name] & MODULES.keys()) - lower)
    }
    assert wrong == {}


def test_there_is_no_cycle() -> None:
    """Not even one that an import within a function would hide."""
    ours = {name: found & MODULES.keys() for name, found in GRAPH.items()}
    assert set(graphlib.TopologicalSorter(ours).static_order()) == set(MODULES)


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_imports_nothing_of_ours(leaf: str) -> None:
    """Each is one thought."""
    assert not GRAPH[f"myapp.sessions.{leaf}"] & MODULES.keys()


def test_the_environment_is_at_the_bottom() -> None:
    """C: the one precedence rule depends on nothing, so that everything can depend on it."""
    assert not GRAPH["myapp.environment"] & MODULES.keys()
    assert reached("myapp.database") & MODULES.keys() == {
        "myapp.bounded_psycopg",
        "myapp.environment",
        "myapp.setting_table",
    }


@pytest.mark.parametrize("name", ["sql_store", "model", "store", "memory_store", "sweep", "merge"])
def test_a_store_knows_no_web_framework(name: str) -> None:
    """I10: not by way of what it imports either; reading an ini file is Pyramid's business."""
    ours = reached(f"myapp.sessions.{name}") - {"pyramid.paster"}
    assert not packages(ours) & {"pyramid", "webob", "zope", "transaction", "pyramid_tm"}


@pytest.mark.parametrize(
    "name", ["factory", "headers", "policy", "manager", "saving", "loading", "session", "cookie"]
)
def test_what_serves_requests_knows_no_database(name: str) -> None:
    """I10: any store will do."""
    assert not packages(reached(f"myapp.sessions.{name}")) & {"sqlalchemy", "psycopg", "pymysql"}


@pytest.mark.parametrize("name", ["manager", "saving", "loading", "client"])
def test_the_manager_knows_neither_framework_nor_database(name: str) -> None:
    """I13: sessions work outside of requests."""
    assert not packages(GRAPH[f"myapp.sessions.{name}"]) & {"pyramid", "webob", "sqlalchemy"}


def test_only_what_serves_requests_knows_pyramid() -> None:
    """I: the session knows the interface that it implements, and nothing more."""
    knowing = {
        name.removeprefix("myapp.sessions.")
        for name in MODULES
        if name.startswith("myapp.sessions.") and "pyramid" in packages(GRAPH[name])
    }
    assert knowing == {"attributes", "factory", "headers", "policy", "session", "transaction"}
    of_pyramid = {module for module in GRAPH["myapp.sessions.core.session"] if "pyramid" in module}
    assert of_pyramid == {"pyramid.interfaces"}


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("myapp.sessions")])
def test_the_session_package_knows_nothing_of_the_application(name: str) -> None:
    """I: any application can include it; of myapp it takes settings and engines."""
    ours = {found for found in reached(name) & MODULES.keys() if "myapp.sessions" not in found}
    shared = ("bounded_psycopg", "database", "environment", "setting_table")
    assert ours <= {f"myapp.{module}" for module in shared}


APPLICATION = [
    name
    for name in MODULES
    if name.startswith("myapp.") and not name.startswith(("myapp.sessions", "myapp.scripts"))
]


@pytest.mark.parametrize("name", ["myapp", *APPLICATION])
def test_the_application_uses_public_names_alone(name: str) -> None:
    """I: what another application can do, ours does no otherwise."""
    taken = {
        (module, taken) for module, taken in imported(MODULES[name]) if "myapp.sessions" in module
    }
    assert taken <= {("myapp.sessions", public) for public in PUBLIC}


def test_the_public_names_are_these() -> None:
    """I: to add one is a decision, to take one away breaks somebody's application."""
    assert myapp.sessions.__all__ == PUBLIC
    assert all(hasattr(myapp.sessions, name) for name in PUBLIC)


def test_the_migrations_do_not_shadow_alembic() -> None:
    """A folder with an `__init__.py` would be imported in place of the package of its name."""
    assert (ROOT / "alembic").is_dir()
    assert not (ROOT / "alembic" / "__init__.py").exists()
    done = subprocess.run(
        [sys.executable, "-c", "import alembic; print(alembic.__file__)"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=clean_environment(),
        check=True,
    )
    assert not Path(done.stdout.strip()).is_relative_to(ROOT / "alembic")
