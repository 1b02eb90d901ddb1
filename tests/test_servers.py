"""The tests of the tests' own database servers."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, inspect, text

from harness.servers.pgbouncer import PgBouncer
from harness.servers.ports import answers
from harness.servers.process import Child
from harness.servers.programs import PROGRAMS, Program, ServerMissing, skip_or_fail
from harness.servers.server import Server
from harness.waiting import wait_until

ABSENT = Program(name="Absent", executables=("no-such-program",), install=("fetch", "absent"))


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the servers."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.mark.parametrize("attempt", [1, 2])
def test_every_test_gets_an_empty_database(database_url: str, attempt: int) -> None:
    """The second attempt sees nothing of the first one."""
    engine = create_engine(database_url, poolclass=NullPool)
    assert inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE words (id INTEGER)"))


def test_a_commit_survives_a_killed_server(server: Server) -> None:
    """It comes back on the same port, with all that it acknowledged."""
    with server.database() as url:
        engine, port = create_engine(url, poolclass=NullPool), server.port
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE words (id INTEGER)"))
            connection.execute(text("INSERT INTO words VALUES (1)"))
        server.kill()
        assert not server.running
        assert not answers(port)
        server.start()
        with engine.connect() as connection:
            assert connection.execute(text("SELECT id FROM words")).scalar_one() == 1
        assert server.port == port


def test_a_stopped_server_starts_again(server: Server) -> None:
    """An orderly end is no end for good."""
    server.stop()
    assert not server.running
    server.start()
    server.start()
    assert answers(server.port)


def test_a_database_is_dropped_from_under_an_open_transaction(server: Server) -> None:
    """A test that failed half-way must not hold up the next one."""
    with server.database() as url:
        engine = create_engine(url)
        connection = engine.connect()
        connection.execute(text("CREATE TABLE words (id INTEGER)"))
        connection.execute(text("INSERT INTO words VALUES (1)"))
    connection.invalidate()
    connection.close()
    engine.dispose()


def test_clients_of_the_pooler_share_its_backends(pgbouncer: PgBouncer) -> None:
    """L12: in transaction mode a connection is whichever backend is free."""
    with pgbouncer.database() as url, ExitStack() as stack:
        engine = create_engine(url, poolclass=NullPool)
        clients = [stack.enter_context(engine.connect()) for _ in range(5)]
        pids = set()
        for client in clients:
            pids.add(client.execute(text("SELECT pg_backend_pid()")).scalar_one())
            client.rollback()
        assert len(pids) <= 2


def test_nothing_is_left_of_a_closed_server(server: Server) -> None:
    """Neither its process nor its folder."""
    with type(server)() as another:
        folder, port = another.folder, another.port
        assert port != server.port
    assert not folder.exists()
    assert not answers(port)


def test_a_child_ends_with_the_tests_that_started_it(tmp_path: Path) -> None:
    """Killed tests leave neither a process nor its folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from harness.servers.process import Child\n"
        "folder = Path(sys.argv[1])\n"
        "child = Child(['sleep', '600'], log=folder / 'log', folder=folder, remove=folder)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    tests = subprocess.Popen(
        [sys.executable, "-c", script, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        assert _runs(pid)
        tests.kill()
    wait_until(lambda: not folder.exists(), "the guard's work", seconds=20)
    assert not _runs(pid)


def test_a_child_that_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    """stop() always ends it."""
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); input()"
    command = [sys.executable, "-c", stubborn.replace("input()", "signal.pause()")]
    child = Child(command, log=tmp_path / "log", folder=tmp_path, stop_signal=signal.SIGTERM)
    wait_until(lambda: "1" in child.output(), "its first word")
    child.stop(seconds=0.1)
    assert not child.running


def test_a_missing_program_names_the_command_that_installs_it() -> None:
    """Nobody has to look it up."""
    with pytest.raises(ServerMissing, match="Absent is not installed: fetch absent"):
        ABSENT.find()


def test_what_is_missing_is_skipped_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """A green run in CI has run everything."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="fetch"):
        skip_or_fail(ServerMissing("fetch absent"))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="fetch"):
        skip_or_fail(ServerMissing("fetch absent"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_programs_are_found_without_a_path(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's places are known; not every user has them on his PATH."""
    if not program.installed:
        pytest.skip(f"{program.name} is not installed")
    monkeypatch.setenv("PATH", "")
    assert os.access(program.find(), os.X_OK)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
