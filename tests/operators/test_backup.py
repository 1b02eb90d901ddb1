"""Backups are whole, and after each documented restore no ended session is alive again."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from harness.servers.mariadb import MariaDB
from harness.servers.postgresql import PostgreSQL
from harness.servers.programs import MARIADB, POSTGRESQL
from myapp.sessions.core.lifetime import to_datetime
from myapp.sessions.sql.store import SqlStore
from tests.operators.conftest import Shop


def sessions_in(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])


def test_a_backup_holds_what_was_committed_and_a_copy_does_not(
    file_shop: Shop, tmp_path: Path
) -> None:
    """O8: while the file is in use; the copy is its owner's alone, and one whole file."""
    for _ in range(5):
        file_shop.has()
    # What was committed last is in the file beside it.
    assert sessions_in(Path(shutil.copy(tmp_path / "shop.sqlite", tmp_path / "copy.sqlite"))) == 0
    backup = tmp_path / "backup.sqlite"
    assert f"copied to {backup}, " in file_shop.says("backup", str(backup))
    assert sessions_in(backup) == 5
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup.sqlite"]


def test_a_backup_is_whole_while_others_write(file_shop: Shop, tmp_path: Path) -> None:
    """O8: what is committed before it begins is in it, and it can be read."""
    for _ in range(50):
        file_shop.has()
    stopped = threading.Event()

    def write() -> None:
        with closing(SqlStore(file_shop.url)) as store:
            while not stopped.is_set():
                store.insert(file_shop.a_row())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        file_shop.says("backup", str(tmp_path / "backup.sqlite"))
    finally:
        stopped.set()
        writer.join()
    assert sessions_in(tmp_path / "backup.sqlite") >= 50
    with closing(sqlite3.connect(tmp_path / "backup.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_backup_ends_however_often_others_commit(file_shop: Shop, tmp_path: Path) -> None:
    """O8: it holds one moment of a large file, while a writer commits between its portions."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE ballast (bytes BLOB)")
        connection.executemany("INSERT INTO ballast VALUES (zeroblob(?))", [(1_000_000,)] * 40)
    backup, stopped = tmp_path / "backup.sqlite", threading.Event()

    def write() -> None:
        with closing(SqlStore(file_shop.url)) as store:
            while not stopped.is_set():
                store.insert(file_shop.a_row())

    writer = threading.Thread(target=write)
    # The writer gives up in the end, so that a backup which waits for it fails instead of hanging.
    patience = threading.Timer(20, stopped.set)
    writer.start()
    patience.start()
    try:
        file_shop.says("backup", str(backup))
        assert not stopped.is_set()
    finally:
        patience.cancel()
        stopped.set()
        writer.join()
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_nothing_is_overwritten(file_shop: Shop, tmp_path: Path) -> None:
    """O8: neither an older backup nor the database, and a failure leaves nothing behind."""
    (tmp_path / "old").write_text("precious")
    for file in ("old", "shop.sqlite"):
        result = file_shop.run("backup", str(tmp_path / file))
        assert (result.exit_code, result.stderr) == (
            1,
            f"Error: {tmp_path / file} already exists: expected a new file\n",
        )
    result = file_shop.run("backup", str(tmp_path / "no" / "folder"))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert (tmp_path / "old").read_text() == "precious"


@pytest.mark.parametrize(
    ("url", "tool"), [("postgresql://u@h/d", "pg_dump"), ("mysql://u@h/d", "mariadb-dump")]
)
def test_other_databases_have_tools_of_their_own(file_shop: Shop, url: str, tool: str) -> None:
    """O8: which the error names."""
    result = file_shop.run("backup", "file", SESSION_URL=url)
    assert result.exit_code == 1
    assert tool in result.stderr


def restore_and_end(shop: Shop, dump: Callable[[], object], restore: Callable[[], object]) -> None:
    """Back up, sign out, restore, and follow the recipe."""
    token, _ = shop.signed_in("ann")
    dump()
    with shop.manager.session(token) as session:
        session.invalidate()
    assert shop.manager.load(token) is None
    shop.store.close()
    restore()
    # The danger that the recipe is for.
    assert shop.manager.load(token) is not None
    assert shop.says("end", "--before", "now", "--yes") == "1 session ended\n"
    assert shop.manager.load(token) is None
    # Repeated with the same moment, it ends nobody who has signed in since.
    moment = to_datetime(shop.manager.kind.clock()).isoformat()
    later, _ = shop.signed_in("bob")
    assert shop.says("end", "--before", moment, "--yes") == "0 sessions ended\n"
    assert shop.manager.load(later) is not None


def test_an_ended_session_stays_dead_after_a_restore_of_sqlite(
    file_shop: Shop, tmp_path: Path
) -> None:
    """O8: `backup`, and the file put in its place while nothing runs."""
    backup, file = tmp_path / "backup.sqlite", tmp_path / "shop.sqlite"

    def restore() -> None:
        for name in ("shop.sqlite", "shop.sqlite-wal", "shop.sqlite-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        shutil.copy(backup, file)

    restore_and_end(file_shop, lambda: file_shop.says("backup", str(backup)), restore)


def test_an_ended_session_stays_dead_after_a_restore_of_postgresql(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """O8: pg_dump and pg_restore."""
    folder = POSTGRESQL.find().parent
    with postgresql.database() as url:
        shop = Shop(url, tmp_path / "shop.ini")
        plain = url.replace("+psycopg", "")
        file = tmp_path / "shop.dump"
        dump: list[Path | str] = [folder / "pg_dump", "--format=custom", f"--file={file}", plain]
        back: list[Path | str] = [folder / "pg_restore", "--clean", "--if-exists"]
        back += [f"--dbname={plain}", file]
        restore_and_end(
            shop,
            lambda: subprocess.run(dump, check=True),
            lambda: subprocess.run(back, check=True),
        )
        shop.store.close()


def test_an_ended_session_stays_dead_after_a_restore_of_mariadb(
    mariadb: MariaDB, tmp_path: Path
) -> None:
    """O8: mariadb-dump in one transaction, and the client."""
    folder = MARIADB.find().parent.parent / "bin"
    tool = next((t for t in (folder / "mariadb-dump", folder / "mysqldump") if t.exists()), None)
    if tool is None:
        pytest.skip("mariadb-dump is missing: apt-get install mariadb-client")
    with mariadb.database() as url:
        shop = Shop(url, tmp_path / "shop.ini")
        at = make_url(url)
        where = [f"--host={at.host}", f"--port={at.port}", f"--user={at.username}", "--skip-ssl"]
        file = tmp_path / "shop.sql"
        dump: list[Path | str] = [
            tool,
            "--no-defaults",
            *where,
            "--single-transaction",
            str(at.database),
        ]
        back: list[Path | str] = [tool.with_name("mariadb"), *dump[1:-2], str(at.database)]

        def save() -> None:
            with file.open("wb") as out:
                subprocess.run(dump, check=True, stdout=out)

        def restore() -> None:
            with file.open("rb") as saved:
                subprocess.run(back, check=True, stdin=saved)

        restore_and_end(shop, save, restore)
        shop.store.close()
