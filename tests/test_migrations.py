"""The migrations on every database, and the same table without them."""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pyramid.config import Configurator
from sqlalchemy import Connection, Engine, MetaData, NullPool, inspect, text

import myapp
from harness.processes import ROOT, clean_environment
from harness.warm import run
from myapp import features, migrations
from myapp.database import create_database_engine
from myapp.database_url import parse_url
from myapp.models.meta import Base
from myapp.scripts.sessions import cli
from myapp.sessions import SchemaError
from myapp.sessions.sql import model
from myapp.sessions.sql.errors import MIGRATE
from tests.command_line import called
from tests.needed import NEEDED

PAGE = ROOT / "docs" / "how-to" / "plain-sql.md"
MODELS = [*features.modules("models")]  # their tables are those of Base.metadata
OURS = (Base.metadata, model.metadata)
# Nothing listens there.
UNREACHABLE = {
    "sqlite": "sqlite:////nowhere/myapp.sqlite",
    "postgresql": "postgresql://user@127.0.0.1:1/myapp",
    "mysql": "mysql://user@127.0.0.1:1/myapp",
}


def alembic(*words: str, url: str, folder: Path = ROOT, ini: str = "") -> str:
    """The output of the real command, run in the root of the project."""
    changes = {"DATABASE_URL": url, "MYAPP_INI": ini}
    done = run("alembic", *words, folder=folder, environment=clean_environment(changes))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    """An engine that leaves no connection behind."""
    engine = create_database_engine(url, poolclass=NullPool)
    yield engine
    engine.dispose()


def differences(url: str, metadata: Iterable[MetaData] = OURS) -> list[Any]:
    """What alembic's autogenerate would change, as alembic/env.py calls it."""
    options = migrations.Names().as_options()
    options |= {"compare_type": True, "compare_server_default": True}
    with engine_of(url) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        found: list[Any] = compare_metadata(context, cast(MetaData, list(metadata)))
        return found


def tables(url: str) -> set[str]:
    """The names of the database's tables."""
    with engine_of(url) as engine:
        return set(inspect(engine).get_table_names())


def revisions(url: str) -> list[str]:
    """The revisions that the database says it is at."""
    with engine_of(url) as engine, engine.connect() as connection:
        return list(connection.scalars(text("SELECT version_num FROM alembic_version")))


def execute(url: str, sql: str) -> None:
    """Run a text of several statements, as the database's own client would."""
    lines = [line for line in sql.splitlines() if not line.startswith("--")]
    with engine_of(url) as engine, engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in "\n".join(lines).split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)


_POSTGRESQL = (
    "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
    " WHERE attrelid = 'sessions'::regclass AND attnum > 0 ORDER BY attnum",
    "SELECT reloptions FROM pg_class WHERE relname = 'sessions'",
    "SELECT indexdef FROM pg_indexes WHERE tablename = 'sessions' ORDER BY 1",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid = 'sessions'::regclass ORDER BY 1",
)


def definition(url: str) -> list[Any]:
    """All that the database itself says of the sessions table, in its own words."""
    with engine_of(url) as engine, engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            return [rows(connection, query) for query in _POSTGRESQL]
        if engine.dialect.name == "sqlite":
            query = "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'sessions' ORDER BY name"
            return [(name, re.sub(r"\s+", " ", sql or "")) for name, sql in rows(connection, query)]
        ((_, sql),) = rows(connection, "SHOW CREATE TABLE sessions")
        # The indexes stand in the order in which they were made.
        return sorted(line.rstrip(",") for line in str(sql).splitlines())


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    """The rows that a query answers."""
    return [tuple(row) for row in connection.exec_driver_sql(query)]


# The command.


def test_migrations_go_up_and_down_and_up_again(database_url: str) -> None:
    """C: `alembic upgrade head` from the project's root, with DATABASE_URL, needs no more."""
    alembic("upgrade", "head", url=database_url)
    assert "sessions" in tables(database_url)
    first = definition(database_url)
    alembic("downgrade", "base", url=database_url)
    assert tables(database_url) == {"alembic_version"}
    assert revisions(database_url) == []
    alembic("upgrade", "head", url=database_url)
    assert definition(database_url) == first
    assert len(revisions(database_url)) == 1


def test_models_and_migrations_agree(database_url: str) -> None:
    """I14: autogenerate finds nothing to do."""
    migrations.upgrade(database_url)
    assert differences(database_url) == []
    assert "No new upgrade operations" in alembic("check", url=database_url)


def test_a_table_without_a_model_is_left_alone(database_url: str) -> None:
    """G3, I14: another application's, or that of a feature that was taken out, is not dropped."""
    migrations.upgrade(database_url)
    execute(database_url, "CREATE TABLE left_behind (id INTEGER PRIMARY KEY);\n")
    assert "No new upgrade operations" in alembic("check", url=database_url)


def test_a_sign_in_before_the_migration_was_when_its_session_began(database_url: str) -> None:
    """R8: a session that nobody signed in to has no such moment; and back again."""
    migrations.upgrade(database_url, "0001")
    for digit, user in (("1", "NULL"), ("2", "'ann'")):
        execute(
            database_url,
            "INSERT INTO sessions (version, created_at, seen_at, deadline, expires_at, sweep_at,"
            f" digest, manager, handle, data, user_id) VALUES (1, {digit}7, 1, 1, 1, 1,"
            f" '{digit * 32}', 'session', '{digit}', '', {user});\n",
        )
    migrations.upgrade(database_url)
    with engine_of(database_url) as engine, engine.connect() as connection:
        found = rows(connection, "SELECT user_id, signed_in_at FROM sessions ORDER BY handle")
    assert found == [(None, None), ("ann", 27)]
    alembic("downgrade", "0001", url=database_url)
    with engine_of(database_url) as engine:
        present = {column["name"] for column in inspect(engine).get_columns("sessions")}
    assert "signed_in_at" not in present
    assert "user_id" in present


def test_a_difference_would_be_found(database_url: str) -> None:
    """I14: the comparison above can fail."""
    migrations.upgrade(database_url)
    execute(database_url, "ALTER TABLE sessions DROP COLUMN user_agent;\n")
    assert [found[0] for found in differences(database_url)] == ["add_column"]


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


def test_migrations_are_applied_on_any_ini(tmp_path: Path) -> None:
    """C: `-x ini=…` and `-x name=value` are the ini and the command line of alembic."""
    ini = tmp_path / "some.ini"
    ini.write_text("[app:main]\nuse = egg:myapp\nsqlalchemy.url = sqlite:///%(here)s/ini.sqlite\n")
    line = tmp_path / "line.sqlite"
    alembic("-x", f"ini={ini}", "upgrade", "head", url="")
    assert "sessions" in tables(f"sqlite:///{tmp_path / 'ini.sqlite'}")
    assert not line.exists()
    alembic("-x", f"ini={ini}", "-x", f"sqlalchemy.url=sqlite:///{line}", "upgrade", "head", url="")
    assert "sessions" in tables(f"sqlite:///{line}")
    variable = f"sqlite:///{tmp_path / 'variable.sqlite'}"
    words = ("-x", f"sqlalchemy.url=sqlite:///{tmp_path / 'ignored.sqlite'}", "upgrade", "head")
    alembic(*words, url=variable, ini=str(ini))
    assert "sessions" in tables(variable)
    assert not (tmp_path / "ignored.sqlite").exists()


@pytest.mark.parametrize(
    ("url", "words", "line"),
    [
        (
            "sqlite://",
            (),
            "sqlalchemy.url = sqlite:// (from environment variable DATABASE_URL):"
            " expected a file, not in-memory SQLite: sqlite:////path/to/file",
        ),
        (
            "",
            ("-x", "sqlalchemy.url=postgresql://u:p%40ss@h/d"),
            "sqlalchemy.url = … (from the command line or development.ini):"
            " expected a percent sign to be written twice: %%",
        ),
    ],
)
def test_a_bad_setting_is_one_line(url: str, words: tuple[str, ...], line: str) -> None:
    """C2: of alembic too."""
    changes = {"DATABASE_URL": url, "MYAPP_INI": ""}
    words = (*words, "upgrade", "head")
    done = run("alembic", *words, folder=ROOT, environment=clean_environment(changes))
    assert done.returncode != 0
    assert (done.stdout + done.stderr).strip() == f"FAILED: {line}"


def test_an_ini_that_can_not_be_read_is_one_line(tmp_path: Path) -> None:
    """C2: with a section twice, with none at all, or with one that is not there."""
    app = "[app:main]\nuse = egg:"
    for content in (f"{app}myapp\n[app:main]\n", "use = egg:myapp\n", f"{app}nosuch\n", ""):
        ini = tmp_path / "broken.ini"
        ini.write_text(content)
        changes = {"DATABASE_URL": "", "MYAPP_INI": str(ini)}
        done = run("alembic", "current", folder=ROOT, environment=clean_environment(changes))
        assert done.returncode != 0
        line = r"FAILED: .*broken\.ini can't be read: .*\n"
        assert re.fullmatch(line, done.stdout + done.stderr)


# The same as SQL.


def fenced(page: str, database: str) -> str:
    """The SQL of the page's section on a database."""
    section = page.partition(f"\n## {database}\n")[2].partition("\n## ")[0]
    return section.partition("```sql\n")[2].partition("```")[0]


def without_trailing_blanks(sql: str) -> str:
    """A text as editors leave it."""
    return "\n".join(line.rstrip() for line in sql.strip().splitlines())


def last_revision(sql: str) -> str:
    """The last revision on the page, which knows nothing of an owner's own later migrations."""
    *_, last = re.finditer(r"^-- Running upgrade \S* -> (\S+)$", sql, re.MULTILINE)
    return str(last[1])


HEADINGS = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB and MySQL"}


@pytest.mark.skipif(
    "postgresql_with" not in model.table.dialect_kwargs,
    reason="SQLAlchemy 2.0 has less to say of a table, and in any order",
)
@pytest.mark.parametrize("dialect", HEADINGS)
def test_the_page_shows_the_sql_of_the_migrations(dialect: str) -> None:
    """I14: what `alembic upgrade head --sql` prints, for which no server needs to run."""
    shown = fenced(PAGE.read_text("utf-8"), HEADINGS[dialect])
    printed = alembic("upgrade", last_revision(shown), "--sql", url=UNREACHABLE[dialect])
    assert without_trailing_blanks(shown) == without_trailing_blanks(printed)


def test_the_sql_of_the_page_does_what_the_migrations_do(database_url: str) -> None:
    """I14: the table of the model, and alembic then takes the database for its own work."""
    backend = parse_url(database_url).get_backend_name()
    heading = HEADINGS["mysql" if backend in ("mysql", "mariadb") else backend]
    shown = fenced(PAGE.read_text("utf-8"), heading)
    execute(database_url, shown)
    assert differences(database_url, [model.metadata]) == []
    assert last_revision(shown) in alembic("current", url=database_url)
    migrations.upgrade(database_url)
    assert differences(database_url) == []


def test_the_printed_schema_makes_the_table_of_the_model(database_url: str) -> None:
    """I14: `myapp-sessions INI schema`, for an application with migrations of its own."""
    sql = schema(database_url)
    execute(database_url, sql)
    assert tables(database_url) == {"sessions"}
    assert differences(database_url, [model.metadata]) == []
    printed = definition(database_url)
    execute(database_url, "DROP TABLE sessions;\n")
    migrations.upgrade(database_url)
    # Engine, character set, fill factor and names too, at which no comparison looks.
    assert definition(database_url) == printed


def schema(url: str) -> str:
    """What the command prints."""
    environment = {"DATABASE_URL": url}
    done = called(cli, ROOT / "development.ini", "schema", environment=environment)
    assert done.exit_code == 0, done.output
    return done.stdout


# At start.

EIGHT = """
import multiprocessing, sys
from alembic import command
from myapp import migrations, models
from myapp.sessions.sql import model

def start():
    barrier.wait(60)
    migrations.upgrade(sys.argv[1])

context = multiprocessing.get_context("fork")
barrier = context.Barrier(8)
workers = [context.Process(target=start) for _ in range(8)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print([worker.exitcode for worker in workers])
"""


def test_eight_processes_that_start_at_once_all_come_up(database_url: str) -> None:
    """C: with `database.migrate_on_start` one migrates, and the others find the work done."""
    done = subprocess.run(
        # Forked once all is imported, so that they meet at the barrier and then in the database.
        [sys.executable, "-c", EIGHT, database_url],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=clean_environment(),
        timeout=120,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (str([0] * 8), "")
    assert differences(database_url) == []
    assert len(revisions(database_url)) == 1


def test_a_failed_migration_leaves_the_lock_to_others(database_url: str) -> None:
    """C: the next process does not wait for one that has given up."""
    with engine_of(database_url) as engine, engine.begin() as connection:
        connection.execute(text("CREATE TABLE sessions (id INTEGER)"))
    for _ in range(2):
        with pytest.raises(migrations.MigrationError, match="could not be migrated"):
            migrations.upgrade(database_url)
    with engine_of(database_url) as engine, engine.begin() as connection:
        connection.execute(text("DROP TABLE sessions"))
    migrations.upgrade(database_url)
    assert differences(database_url) == []


def main_ends_with(url: str, **settings: str) -> str:
    """The line with which an application on this database ends."""
    with pytest.raises(SystemExit) as caught:
        myapp.main({}, **{"sqlalchemy.url": url}, **NEEDED, **settings)
    line = str(caught.value.code)
    assert "\n" not in line
    return line


def test_a_database_that_is_newer_than_the_code_is_one_line(database_url: str) -> None:
    """C2: after a deployment was taken back, say."""
    migrations.upgrade(database_url)
    execute(database_url, "UPDATE alembic_version SET version_num = 'future';\n")
    line = main_ends_with(database_url, **{"database.migrate_on_start": "true"})
    assert line == (
        "myapp: the database could not be migrated: Can't locate revision identified by 'future'"
    )


@pytest.mark.parametrize("dialect", HEADINGS)
def test_a_database_that_can_not_be_migrated_is_one_line(dialect: str) -> None:
    """C2: who asks for migrations at start can't start without the database."""
    url = UNREACHABLE[dialect]
    line = main_ends_with(url, **{"database.migrate_on_start": "true"})
    if dialect == "sqlite":
        # Seen before anything is opened, and said with the setting.
        assert line.startswith(f"myapp: sqlalchemy.url = {url} (from ")
        assert line.endswith("expected a file in an existing folder; /nowhere does not exist")
    else:
        assert line.startswith("myapp: the database could not be migrated: ")


def include(url: str) -> None:
    """Start an application of which only the sessions matter."""
    config = Configurator(settings={"session.url": url})
    config.include("myapp.sessions")
    try:
        config.make_wsgi_app()
    finally:
        for store in config.registry["myapp.sessions"].stores.values():
            store.close()


def test_a_missing_table_stops_the_start(database_url: str) -> None:
    """I14: with what to do, for our application or for any other one."""
    expected = f"there is no table 'sessions': {MIGRATE}"
    assert "alembic upgrade head" in MIGRATE
    assert "myapp-sessions INI schema" in MIGRATE
    with pytest.raises(SchemaError) as caught:
        include(database_url)
    assert str(caught.value) == expected


def test_an_old_table_stops_the_start(database_url: str) -> None:
    """I14: with the columns that it lacks."""
    migrations.upgrade(database_url)
    include(database_url)
    for column in ("generation", "address"):
        execute(database_url, f"ALTER TABLE sessions DROP COLUMN {column};\n")
    expected = f"the table 'sessions' is out of date, it lacks generation, address: {MIGRATE}"
    with pytest.raises(SchemaError) as caught:
        include(database_url)
    assert str(caught.value) == expected


# Somebody else's alembic.

THEIR_MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
"""
THEIR_TARGET = """
import sys
sys.path.insert(0, {folder!r})
import their_models
import myapp.sessions.sql.model
target_metadata = [their_models.Base.metadata, myapp.sessions.sql.model.metadata]
"""


def test_a_foreign_alembic_writes_the_migration_itself(database_url: str, tmp_path: Path) -> None:
    """I14: the metadata beside those of its own models are all that it needs."""
    (tmp_path / "their_models.py").write_text(THEIR_MODELS)
    alembic("init", "theirs", url="", folder=tmp_path)
    env, ini = tmp_path / "theirs" / "env.py", tmp_path / "alembic.ini"
    target = THEIR_TARGET.format(folder=str(tmp_path))
    env.write_text(env.read_text().replace("\ntarget_metadata = None\n", target))
    url = parse_url(database_url).render_as_string(hide_password=False).replace("%", "%%")
    line = re.compile(r"^sqlalchemy\.url = .*$", re.MULTILINE)
    ini.write_text(line.sub(lambda _: f"sqlalchemy.url = {url}", ini.read_text()))

    alembic("revision", "--autogenerate", "-m", "all", url="", folder=tmp_path)
    (written,) = (tmp_path / "theirs" / "versions").glob("*.py")
    assert re.findall(r"op\.create_table\('(\w+)'", written.read_text()) == ["articles", "sessions"]
    alembic("upgrade", "head", url="", folder=tmp_path)
    include(database_url)
    found = differences(database_url, [model.metadata])
    assert found == []
