"""The commands of operators and developers: what they print, and how they fail."""

import json
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import NullPool

from harness.processes import ROOT, clean_environment
from harness.servers.postgresql import PostgreSQL
from harness.wire import Tap, counting
from myapp.database import create_database_engine
from myapp.environment import COMMAND_LINE
from myapp.scripts import session_name
from myapp.scripts.reference import FEATURES
from myapp.scripts.sessions import DIALECTS, cli
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.core.settings import TABLE
from myapp.sessions.core.store import Ending, StoredSession
from myapp.sessions.sql.model import table
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session
from tests.command_line import called
from tests.sessions.app import create_table

HOUR = 3_600_000
# SQLAlchemy 2.0 can't ask PostgreSQL for it.
ROOM = ("WITH (fillfactor = 90);",) if "postgresql_with" in table.dialect_kwargs else ()


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """An ini file with little in it."""
    ini = tmp_path / "some.ini"
    ini.write_text(
        "[app:main]\nuse = egg:myapp\n"
        "sqlalchemy.url = sqlite:///%(here)s/some.sqlite\nsession.lifetime = 3d\n"
    )
    return ini


def run(*words: str | Path, **environment: str) -> Result:
    """What `myapp-sessions` does."""
    return called(cli, *words, environment=environment)


def shown(result: Result) -> dict[str, tuple[str, str]]:
    """The table that `config` prints: for each setting its value and its source."""
    assert result.exit_code == 0, result.output
    head, *lines = result.stdout.splitlines()
    second, third = head.index("value"), head.index("from")
    return {
        line[:second].strip(): (line[second:third].strip(), line[third:].strip()) for line in lines
    }


# Where the application is

SHOP = "[app:shop]\nuse = egg:myapp\nsession.lifetime = 5h\n"
WITHIN = {
    "a pipeline": "[pipeline:main]\npipeline = plain shop\n",
    "a filter": "[filter-app:main]\nuse = call:tests.pasted:filter_\nnext = shop\n",
    "a filter-with": "[app:main]\nuse = shop\nfilter-with = plain\n",
    "a composite": "[composite:main]\nuse = call:tests.pasted:composite\n/ = shop\n",
    "a composite within a pipeline": (
        "[pipeline:main]\npipeline = plain both\n"
        "[composite:both]\nuse = call:tests.pasted:composite\n/ = shop\n/static = static\n"
        "word = another\n"
    ),
}
PARTS = (
    "[filter:plain]\nuse = call:tests.pasted:filter_\n"
    "[app:static]\nuse = call:tests.pasted:static\n"
    f"{SHOP}sqlalchemy.url = sqlite:///%(here)s/some.sqlite\n"
)


@pytest.mark.parametrize("text", WITHIN.values(), ids=WITHIN.keys())
def test_the_application_is_found_wherever_pserve_finds_it(ini: Path, text: str) -> None:
    """I14, C2: with its settings, and as this application."""
    ini.write_text(text + PARTS)
    found = shown(run(ini, "config"))
    assert found["session.lifetime"][0] == "5h"
    assert "myapp.hsts" in found


def test_one_of_several_applications_is_named(ini: Path) -> None:
    """I14: as pserve has it, and the error says how."""
    ini.write_text(
        "[composite:main]\nuse = call:tests.pasted:composite\n/ = shop\n/admin = admin\n"
        f"{PARTS}[app:admin]\nuse = shop\nsession.lifetime = 1h\n"
    )
    assert shown(run(f"{ini}#admin", "config"))["session.lifetime"][0] == "1h"
    assert shown(run(f"{ini}#shop", "config"))["session.lifetime"][0] == "5h"
    message = f"{ini} can't be read: it runs several applications: write {ini}#admin or {ini}#shop"
    assert_one_line(run(ini, "config"), message)
    refused = run(f"{ini}#nowhere", "config")
    assert "can't be read: No section 'nowhere'" in refused.stderr


def test_the_version_is_told() -> None:
    """O1: also without an ini file."""
    assert re.fullmatch(r".*, version \d+\.\d+\.\d+\n", run("--version").stdout)


# myapp-sessions INI config


def test_config_shows_each_setting_with_its_source(ini: Path) -> None:
    """C4: default, ini, command line and environment, and what it all comes to."""
    found = shown(
        run(
            *("--set", "session.max_size=1 MiB", "--set", "session.lifetime=2d", ini, "config"),
            SESSION_LIFETIME="1d",
            DATABASE_MIGRATE_ON_START="yes",
        )
    )
    assert list(found) == [
        "sqlalchemy.url",
        "database.migrate_on_start",
        "database.version_table",
        "myapp.hsts",
        *(f"session.{name}" for name in TABLE),
        *(name for table in FEATURES.values() for name in table),
    ]
    url = f"sqlite:///{ini.parent}/some.sqlite"
    assert found["sqlalchemy.url"] == (url, "[app:main] of some.ini")
    variable = "environment variable DATABASE_MIGRATE_ON_START"
    assert found["database.migrate_on_start"] == ("yes", variable)
    assert found["session.lifetime"] == ("1d", "environment variable SESSION_LIFETIME")
    assert found["session.max_size"] == ("1 MiB", COMMAND_LINE)
    assert found["myapp.hsts"] == ("false", "default")
    assert found["session.cookie_name"] == ("session", "default")
    assert found["session.url"] == ("", "default")


def test_config_shows_the_ini_where_nothing_overrides_it(ini: Path) -> None:
    """C4: an empty variable does not."""
    found = shown(run(ini, "config", SESSION_LIFETIME=""))
    assert found["session.lifetime"] == ("3d", "[app:main] of some.ini")
    assert found["database.migrate_on_start"] == ("false", "default")


def test_config_shows_another_managers_settings(ini: Path) -> None:
    """I9: with its prefix in names and variables."""
    found = shown(run("--prefix", "admin_session.", ini, "config", ADMIN_SESSION_LIFETIME="1h"))
    assert found["admin_session.lifetime"] == ("1h", "environment variable ADMIN_SESSION_LIFETIME")
    assert not [name for name in found if name.startswith("session.")]


def test_config_shows_no_password_and_cuts_nothing(ini: Path) -> None:
    """R6: of a URL; and each setting stays on one line, however long."""
    host = "h" * 250
    found = shown(run(ini, "config", DATABASE_URL=f"postgresql://u:secret@{host}/d"))
    assert found["sqlalchemy.url"][0] == f"postgresql://u:***@{host}/d"


def test_config_refuses_what_the_server_refuses(ini: Path) -> None:
    """C2: it shows no settings with which nothing would start."""
    assert_one_line(
        run(ini, "config", SESSION_LIFETIME="soon"),
        "session.lifetime = soon (from environment variable SESSION_LIFETIME): expected"
        " a duration such as 1w, 7d, 3h, 20m, 90s or 1h30m, at most 400 days",
    )


def test_config_leaves_another_applications_names_alone(tmp_path: Path) -> None:
    """I14: what it calls `database.…` is its own affair, and its database may be the sessions'."""
    ini = tmp_path / "shop.ini"
    ini.write_text(
        "[app:main]\nuse = call:tests.foreign_app:main\n"
        "session.url = sqlite:///%(here)s/shop.sqlite\ndatabase.pool = 3\n"
    )
    found = shown(run(ini, "config"))
    assert list(found) == ["sqlalchemy.url", *(f"session.{name}" for name in TABLE)]
    assert found["sqlalchemy.url"] == ("", "default")


def test_config_knows_the_application_by_way_of_another_ini(ini: Path, tmp_path: Path) -> None:
    """C4: a host's ini file may add a line or two to the common one."""
    other = tmp_path / "other.ini"
    other.write_text(f"[app:main]\nuse = config:{ini.name}\nmyapp.hsts = true\n")
    found = shown(run(other, "config"))
    assert found["myapp.hsts"] == ("true", "[app:main] of other.ini")
    assert found["session.lifetime"][0] == "3d"


# Errors


def assert_one_line(result: Result, message: str) -> None:
    """The command failed, and said this alone."""
    assert result.exit_code == 1
    assert (result.stdout, result.stderr) == ("", f"Error: {message}\n")


@pytest.mark.parametrize("command", ["config", "schema", "sweep"])
@pytest.mark.parametrize("key", ["sqlalchemy.url", "session.url"])
def test_an_unusable_database_is_one_line(ini: Path, key: str, command: str) -> None:
    """C2: the same words as at start."""
    assert_one_line(
        run("--set", f"{key}=sqlite://", ini, command),
        f"{key} = sqlite:// (from {COMMAND_LINE}): expected a file, not in-memory SQLite:"
        " sqlite:////path/to/file",
    )


def test_a_lone_percent_sign_is_one_line(ini: Path) -> None:
    """C2: as in an ini file it is written twice."""
    assert_one_line(
        run("--set", "sqlalchemy.url=postgresql://u:se%40cret@h/d", ini, "config"),
        "sqlalchemy.url = … (from the command line or some.ini):"
        " expected a percent sign to be written twice: %%",
    )


@pytest.mark.parametrize(
    ("name", "nearest"), [("session.lifetim", "session.lifetime"), ("myapp.hst", "myapp.hsts")]
)
def test_an_unknown_setting_is_one_line(ini: Path, name: str, nearest: str) -> None:
    """C2: with the nearest known one."""
    assert_one_line(
        run("--set", f"{name}=1h", ini, "config"),
        f"{name} = 1h (from {COMMAND_LINE}): expected a known setting; the nearest is {nearest}",
    )


def test_a_missing_table_is_one_line(ini: Path) -> None:
    """I14: with what to do."""
    (ini.parent / "some.sqlite").touch()
    assert_one_line(
        run(ini, "sweep"),
        "there is no table 'sessions': run `alembic upgrade head`, with DATABASE_URL if the"
        " sessions have a database of their own; if alembic does not know the table,"
        " `myapp-sessions INI schema` prints its SQL",
    )


@pytest.mark.parametrize("command", ["stats", "sweep", "config", "audit", "check"])
@pytest.mark.parametrize("main", ["egg:myapp", "call:tests.foreign_app:main"])
def test_no_command_makes_a_database(ini: Path, command: str, main: str) -> None:
    """I14, O2: one that is missing is as one that can't be reached, be it looked at or loaded."""
    ini.write_text(ini.read_text().replace("egg:myapp", main))
    result = run(ini, command, ACCOUNTS_MAIL="off")
    assert [path.name for path in ini.parent.iterdir()] == [ini.name]
    if command != "config":
        assert result.exit_code == 1
        assert f"there is no database {ini.parent}/some.sqlite" in result.output + result.stderr


def test_an_unreachable_database_is_one_line(ini: Path) -> None:
    """L8: an operator's command fails as well, and says what the driver said."""
    result = run("--set", "session.url=postgresql://u@127.0.0.1:1/d", ini, "sweep")
    assert result.exit_code == 1
    assert re.fullmatch(
        r"Error: the session store is unavailable: OperationalError: .*\n", result.stderr
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no ini at all", "File contains no section headers. file: "),
        ("[app:main]\nuse = egg:nothing\n", "nothing"),
        ("[app:other]\nuse = egg:myapp\n", "No section 'main'"),
        ("[app:main]\nkey = a\nkey = b\n", "option 'key' in section 'app:main' already exists"),
        ("[app:main]\nuse = main\n", "a section of it uses itself"),
        ("[pipeline:main]\npipeline =\n", "a pipeline in it is empty"),
    ],
)
def test_an_ini_that_can_not_be_read_is_one_line(ini: Path, text: str, reason: str) -> None:
    """C2: whatever is wrong with it."""
    ini.write_text(text)
    result = run(ini, "config")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {ini} can't be read: ")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--set", "session.lifetime", "INI", "config"), "--set: expected NAME=VALUE"),
        (("--prefix", "admin", "INI", "config"), "--prefix: expected a name and a dot"),
        (("--prefix", "", "INI", "config"), "--prefix: expected a name and a dot"),
        (("nowhere.ini", "config"), "File 'nowhere.ini' does not exist"),
        (("INI", "sweep", "--batch", "0"), "'--batch': 0 is not in the range"),
        (("INI", "schema", "--dialect", "oracle"), "'--dialect': 'oracle' is not one of"),
        (("INI", "nothing"), "No such command 'nothing'"),
    ],
)
def test_a_wrong_word_is_answered_with_the_usage(
    ini: Path, words: tuple[str, ...], reason: str
) -> None:
    """C2: the exit status 2 tells misuse from failure."""
    result = run(*(ini if word == "INI" else word for word in words))
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stderr.startswith("Usage: ")


def test_the_command_is_installed(ini: Path) -> None:
    """C: under its name, beside pserve and alembic."""
    done = subprocess.run(
        [Path(sys.executable).with_name("myapp-sessions"), ini, "config"],
        capture_output=True,
        text=True,
        env=clean_environment({"SESSION_LIFETIME": "1d"}),
        check=True,
    )
    assert re.search(r"^session\.lifetime +1d +environment var", done.stdout, re.MULTILINE)


# myapp-sessions INI schema


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        ("sqlite", ("digest BLOB NOT NULL,",)),
        ("postgresql", ("digest BYTEA NOT NULL,", *ROOM)),
        ("mysql", ("digest BINARY(32) NOT NULL,", "ENGINE=InnoDB", "CHARSET=utf8mb4")),
    ],
)
def test_schema_prints_the_table_in_each_dialect(
    ini: Path, dialect: str, words: tuple[str, ...]
) -> None:
    """I14: the table and its two indexes, for any database whatever INI has."""
    result = run(ini, "schema", "--dialect", dialect)
    assert result.exit_code == 0
    assert all(word in result.stdout for word in words)
    statements = [each.split("(")[0].split() for each in result.stdout.split(";\n")]
    assert [" ".join(each) for each in statements if each] == [
        "CREATE TABLE sessions",
        "CREATE INDEX ix_sessions_sweep_at ON sessions",
        "CREATE INDEX ix_sessions_user_id ON sessions",
    ]
    assert not re.search(r"[ \t]$|\t", result.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("sqlite:////nowhere/some.sqlite", "sqlite"),
        ("postgresql://u@127.0.0.1:1/d", "postgresql"),
        ("postgres://u@127.0.0.1:1/d", "postgresql"),
        ("mysql://u@127.0.0.1:1/d", "mysql"),
        ("mariadb://u@127.0.0.1:1/d", "mysql"),
    ],
)
def test_schema_speaks_to_the_database_of_the_ini(ini: Path, url: str, dialect: str) -> None:
    """I14: without connecting; `session.url` counts before `sqlalchemy.url`."""
    expected = run(ini, "schema", "--dialect", dialect).stdout
    assert run(ini, "schema", DATABASE_URL=url).stdout == expected
    assert run(ini, "schema", SESSION_URL=url).stdout == expected
    assert len({run(ini, "schema", "--dialect", each).stdout for each in DIALECTS}) == 3


# myapp-sessions INI sweep


def fill(url: str, *sessions: StoredSession) -> None:
    """Put sessions into a new table."""
    create_table(url)
    store = SqlStore(url)
    for session in sessions:
        store.insert(session)
    store.close()


def left(url: str) -> list[bytes]:
    """The digests of all rows, markers included."""
    store = SqlStore(url)
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT digest FROM sessions")
        found = [bytes(digest) for (digest,) in rows]
    store.close()
    return found


def dying(expires_at: int, **fields: Any) -> StoredSession:
    """A session that expires at a moment."""
    return a_session(deadline=expires_at, expires_at=expires_at, **fields)


def test_sweep_deletes_what_is_expired_and_nothing_else(ini: Path, database_url: str) -> None:
    """W1: of every manager, and says how many of how many."""
    now = time.time_ns() // 1_000_000
    dead = [dying(now - 1), dying(now - HOUR), dying(1, manager="admin_session")]
    live = [dying(now + HOUR), dying(now + HOUR, manager="admin_session")]
    fill(database_url, *dead, *live)
    store = SqlStore(database_url)
    ended = dying(now + HOUR)
    store.insert(ended)
    store.end([Ending(ended.digest, "signed_out", now - 1)])
    # Due to be looked at, and in use since.
    touched = a_session(deadline=now + HOUR, expires_at=now - 1, seen_at=now - HOUR)
    store.insert(touched)
    before = now - 2
    assert store.touch(touched.digest, seen_at=before, expires_at=now + HOUR, not_since=before)
    store.close()
    result = run(ini, "sweep", DATABASE_URL=database_url)
    assert (result.exit_code, result.stdout) == (0, "4 of 7 rows deleted\n")
    assert sorted(left(database_url)) == sorted(each.digest for each in (*live, touched))
    again = run(ini, "sweep", DATABASE_URL=database_url)
    assert again.stdout == "0 of 3 rows deleted\n"


def test_sweep_draws_no_bar_where_nobody_sees_it(ini: Path, database_url: str) -> None:
    """O1: cron mails what a command says, so under a pipe it says the result alone."""
    fill(database_url, *(dying(1) for _ in range(25)))
    result = run(ini, "sweep", "--batch", "10", DATABASE_URL=database_url)
    assert (result.stdout, result.stderr) == ("25 of 25 rows deleted\n", "")


def test_sweep_can_be_dry_or_quiet(ini: Path, database_url: str) -> None:
    """O1: a dry one counts and deletes nothing, a quiet one says nothing, and JSON says both."""
    live = dying(time.time_ns() // 1_000_000 + HOUR)
    fill(database_url, dying(1), dying(2), live)
    dry = run(ini, "sweep", "--dry-run", DATABASE_URL=database_url)
    assert (dry.stdout, len(left(database_url))) == ("2 of 3 rows are expired\n", 3)
    quiet = run(ini, "sweep", "--quiet", DATABASE_URL=database_url)
    assert (quiet.exit_code, quiet.output, left(database_url)) == (0, "", [live.digest])
    shown = run(ini, "sweep", "--json", DATABASE_URL=database_url)
    assert json.loads(shown.stdout) == {"deleted": 0, "rows": 1}


def test_sweep_works_in_batches(ini: Path, tap: Tap, database_url: str) -> None:
    """W1: many rows are many short statements, each of which tests expiry again."""
    create_table(database_url)
    store = SqlStore(database_url)
    rows = [dying(1) for _ in range(3_000)]
    with store.engine.connect() as connection:
        names = StoredSession.__struct_fields__
        values = [
            {name: getattr(row, name) for name in names} | {"sweep_at": row.expires_at}
            for row in rows
        ]
        connection.execute(table.insert(), values)
    store.close()
    with counting(tap) as wire:
        result = run(ini, "sweep", "--batch", "1000", DATABASE_URL=tap.url)
    assert result.stdout == "3000 of 3000 rows deleted\n"
    deletions = [each for each in wire.statements if each.startswith("DELETE")]
    assert len(deletions) == 3
    assert all("expires_at <= " in each for each in deletions)


def test_sweep_takes_the_sessions_own_database(ini: Path, tmp_path: Path) -> None:
    """C: `session.url` before `sqlalchemy.url`, also for a further manager without its own."""
    apart = f"sqlite:///{tmp_path / 'apart.sqlite'}"
    fill(apart, dying(1), dying(1, manager="admin_session"))
    result = run("--prefix", "admin_session.", ini, "sweep", SESSION_URL=apart)
    assert result.stdout == "2 of 2 rows deleted\n"
    assert left(apart) == []


def test_sweep_takes_another_store_too(ini: Path) -> None:
    """I10: every store can be swept; nobody counts what it deletes."""
    name = "myapp.sessions.testing.memory_store:MemoryStore"
    result = run("--set", f"session.store={name}", ini, "sweep")
    assert (result.exit_code, result.stdout) == (0, "0 rows deleted\n")


# python -m myapp.scripts.session_name INI …


def rename(*words: Path | str) -> Result:
    """What `make session-name` does."""
    return called(session_name.main, *words)


@pytest.fixture
def inis(tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the two ini files of the project."""
    names = ("development.ini", "production.ini")
    for name in names:
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    development, production = (tmp_path / name for name in names)
    return development, production


def names_in(ini: Path) -> list[str]:
    """The cookie names of an ini file."""
    return re.findall(r"^session\.cookie_name = (.*)$", ini.read_text("utf-8"), re.MULTILINE)


def test_a_fresh_name_is_written_into_both_files(inis: tuple[Path, Path]) -> None:
    """C: `session_` and 8 characters, with `__Host-Http-` before it in production.ini."""
    before = [ini.read_text("utf-8") for ini in inis]
    old = names_in(inis[0])[0]
    result = rename(*inis)
    assert result.exit_code == 0
    ((new,), (production,)) = map(names_in, inis)
    assert re.fullmatch(r"session_[a-z0-9]{8}", new)
    assert new != old
    assert production == f"__Host-Http-{new}"
    assert result.stdout == f"session.cookie_name is now {new} in {inis[0]}, {inis[1]}\n"
    # Nothing else has changed.
    assert [ini.read_text("utf-8").replace(new, old) for ini in inis] == before


def test_a_name_of_one_s_own_is_replaced_only_by_force(inis: tuple[Path, Path]) -> None:
    """C: done again by mistake, it would sign everybody out; neither file is changed."""
    assert rename(*inis).exit_code == 0
    before = [ini.read_text("utf-8") for ini in inis]
    (own,) = names_in(inis[0])
    refused = rename(*inis)
    assert refused.exit_code == 1
    assert refused.stderr == (
        f"Error: session.cookie_name = {own} (from {inis[0]}): expected the shipped name,"
        f" {session_name.SHIPPED}; --force replaces it, which signs everybody out\n"
    )
    assert [ini.read_text("utf-8") for ini in inis] == before
    assert rename(*inis, "--force").exit_code == 0
    assert names_in(inis[0]) != [own]


def test_a_clone_is_served_with_a_hint() -> None:
    """G1: `make serve` says that the name is everybody's, as long as it is."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f"\nSHIPPED := {session_name.SHIPPED}\n" in makefile
    assert names_in(ROOT / "development.ini") == [session_name.SHIPPED]
    run = subprocess.run(
        ["make", "--dry-run", "serve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "make new FOLDER=../blog" in run.stdout


def test_a_name_is_random() -> None:
    """C: two codebases never get the same, and every character is used."""
    made = {session_name.new_name() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(re.fullmatch(r"session_[a-z0-9]{8}", name) for name in made)
    assert len(set("".join(name.removeprefix("session_") for name in made))) == 36


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("session.cookie_name = session", ""),
        ("session.cookie_name=sid", ""),
        ("session.cookie_name = __Host-sid", "__Host-"),
        ("session.cookie_name = __Secure-sid", "__Secure-"),
        ("session.cookie_name = __Http-sid", "__Http-"),
        ("session.cookie_name = __Host-Http-sid", "__Host-Http-"),
        ("session.cookie_name = __hOST-sid", "__hOST-"),
        ("session.cookie_name = sid \t", ""),
        ("session.cookie_name =", ""),
    ],
)
def test_the_prefix_of_the_name_is_kept(ini: Path, line: str, kept: str) -> None:
    """C3: what browsers demand of such a cookie is the administrator's decision."""
    ini.write_text(f"[app:main]\nadmin_session.cookie_name = x\n{line}\nsession.lifetime = 1w\n")
    assert rename(ini, "--force").exit_code == 0
    start = line.partition("=")[0]
    head, admin, written, rest = ini.read_text().splitlines()
    assert re.fullmatch(rf"{re.escape(start)}= ?{re.escape(kept)}session_[a-z0-9]{{8}}", written)
    assert (head, admin, rest) == (
        "[app:main]",
        "admin_session.cookie_name = x",
        "session.lifetime = 1w",
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("[app:main]\n", 0),
        ("#session.cookie_name = session\n", 0),
        ("session.cookie_name = a\nsession.cookie_name = b\n", 2),
    ],
)
def test_a_file_without_the_line_is_refused(
    inis: tuple[Path, Path], ini: Path, text: str, count: int
) -> None:
    """C: and then no other file is changed either."""
    ini.write_text(text)
    before = inis[0].read_text("utf-8")
    result = rename(inis[0], ini)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {ini} has {count} lines `session.cookie_name = …`, not 1\n"
    assert (ini.read_text(), inis[0].read_text("utf-8")) == (text, before)


def test_no_file_and_no_such_file_are_answered_with_the_usage(tmp_path: Path) -> None:
    """C: there is nothing to guess."""
    assert rename().exit_code == 2
    assert rename(tmp_path / "nowhere.ini").exit_code == 2
    assert rename(tmp_path).exit_code == 2


def test_the_name_is_given_by_its_module(ini: Path) -> None:
    """C: as the Makefile runs it."""
    ini.write_text(f"session.cookie_name = {session_name.SHIPPED}\n")
    subprocess.run(
        [sys.executable, "-m", "myapp.scripts.session_name", ini],
        capture_output=True,
        cwd=ROOT,
        env=clean_environment(),
        check=True,
    )
    assert re.fullmatch(r"session\.cookie_name = session_[a-z0-9]{8}\n", ini.read_text())


WRONG_CLOCK = (
    "CREATE SCHEMA wrong",
    "CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
    " $$ SELECT now() - interval '{difference}' $$",
    'ALTER DATABASE "{name}" SET search_path = wrong, pg_catalog, public',
)


@pytest.mark.parametrize(("difference", "status"), [("1 year", 1), ("4 minutes", 0)])
def test_sweep_does_not_go_by_a_clock_that_the_database_contradicts(
    ini: Path, postgresql: PostgreSQL, difference: str, status: int
) -> None:
    """W2: by more than five minutes; one line names both times, and nothing is deleted."""
    with postgresql.database() as url:
        create_table(url)
        engine = create_database_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in WRONG_CLOCK:
                name = engine.url.database
                connection.exec_driver_sql(statement.format(difference=difference, name=name))
        with closing(SqlStore(url)) as store:
            store.insert(a_session(expires_at=SteadyClock()() - 1))
            result = run("--set", f"session.url={url}", ini, "sweep")
            assert (result.exit_code, store.count()) == (status, status)
        if status:
            line = r"Error: nothing was swept: .* but the database's clock says .*\n"
            assert re.fullmatch(line, result.stderr)
