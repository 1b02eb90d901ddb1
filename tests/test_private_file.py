"""Who may read a SQLite file that we made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from myapp.database import create_database_engine
from myapp.migrations import upgrade

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Sets what the process takes from the modes of new files; undone after the test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """The mode of each file in a folder."""
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def written(engine: Engine) -> Engine:
    """An engine that has written, and keeps the connection: what SQLite makes beside is there."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS note (id INTEGER)"))
    return engine


def test_a_new_file_is_its_owners_alone(tmp_path: Path, umask: Callable[[int], int]) -> None:
    """R6: also what SQLite keeps beside it, at the first connect, whatever the umask."""
    # SQLAlchemy 2.0 hands on the path of a URL as it stands; from 2.1 on it is quoted once more.
    dot = "%252E" if make_url("sqlite:///%252E").database == "%2E" else "%2E"
    urls = ["{}/a.sqlite", "file:{}/a.sqlite?uri=true", f"file://{{}}/a{dot}sqlite?uri=true"]
    for url, mask in zip(urls, (0o022, 0, 0o777), strict=True):
        (folder := tmp_path / oct(mask)).mkdir(mode=0o700)
        umask(mask)
        engine = written(create_database_engine("sqlite:///" + url.format(folder)))
        assert modes(folder) == dict.fromkeys(["a.sqlite", "a.sqlite-wal", "a.sqlite-shm"], 0o600)
        engine.dispose()
        umask(0o022)


def test_so_is_one_that_the_migrations_make(tmp_path: Path) -> None:
    """R6: as pserve and alembic run them."""
    upgrade(f"sqlite:///{tmp_path}/a.sqlite")
    assert modes(tmp_path) == {"a.sqlite": 0o600}


def test_one_that_a_link_leads_to_is_made_there(tmp_path: Path) -> None:
    """R6: SQLite would make it with whatever mode the umask leaves."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "a.sqlite")
    written(create_database_engine(f"sqlite:///{tmp_path}/link")).dispose()
    assert modes(tmp_path / "there") == {"a.sqlite": 0o600}


def test_a_file_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    """R6: its owner may want a group to read it."""
    (tmp_path / "a.sqlite").touch()
    (tmp_path / "a.sqlite").chmod(0o640)
    engine = written(create_database_engine(f"sqlite:///{tmp_path}/a.sqlite"))
    assert set(modes(tmp_path).values()) == {0o640}
    engine.dispose()


def test_nothing_is_made_where_sqlite_would_make_nothing(tmp_path: Path) -> None:
    """R6: a file to be read alone, or one in a folder that is not there."""
    for url in (f"file:{tmp_path}/a.sqlite?mode=rw&uri=true", f"{tmp_path}/no/a.sqlite"):
        engine = create_database_engine(f"sqlite:///{url}")
        with pytest.raises(Exception, match="unable to open"):
            engine.connect()
    assert modes(tmp_path) == {}
