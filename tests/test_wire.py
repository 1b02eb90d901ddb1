"""The tests of the tests' own ear: it must hear all, and change nothing."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from harness.servers.ports import LOOPBACK, free_port
from harness.servers.server import Server
from harness.wire import Proxy, Tap, counting, sqlite_trace, tapped
from harness.wire.readers import MariaDBReader, PostgreSQLReader

# PyMySQL's time limit for connecting ends with TCP's part of it: the server's greeting, which
# never comes out of a black hole, is read under the other limit.
PATIENCE = {"postgres": {"connect_timeout": 2}, "mysql": {"connect_timeout": 2, "read_timeout": 2}}

SELECT = text("SELECT id FROM words WHERE id = :id")


@pytest.fixture
def engine(tap: Tap) -> Iterator[Engine]:
    """An engine on the other side of the tap, with a table and one pooled connection."""
    engine = create_engine(tap.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE words (id INTEGER PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the servers that speak over a wire."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy in front of an empty database of each server."""
    with server.database() as url, Proxy(url) as proxy:
        yield proxy


@pytest.fixture
def client(server: Server, proxy: Proxy) -> Iterator[Engine]:
    """An engine that reaches its database through the proxy, and gives up soon."""
    engine = create_engine(proxy.url, connect_args=PATIENCE[server.account_name])
    yield engine
    engine.dispose()


def test_a_transaction_is_heard_from_its_begin_to_its_commit(tap: Tap, engine: Engine) -> None:
    """The statements come in order, and COMMIT is one of them."""
    with counting(tap) as wire, engine.begin() as connection:
        connection.execute(text("INSERT INTO words (id) VALUES (:id)"), {"id": 1})
        connection.execute(SELECT, {"id": 1})
    # SQLite and PostgreSQL say BEGIN; MariaDB's driver has switched autocommit off instead.
    # It says ROLLBACK whenever a connection goes back to the pool.
    heard = [verb for verb in wire.verbs if verb not in ("BEGIN", "ROLLBACK")]
    assert heard == ["INSERT", "SELECT", "COMMIT"]
    assert any("INSERT INTO words" in statement for statement in wire.statements)


def test_a_lone_select_in_autocommit_is_one_round_trip(tap: Tap, engine: Engine) -> None:
    """Nothing is heard around it that was not said."""
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        connection.execute(SELECT, {"id": 1})
        with counting(tap) as wire:
            connection.execute(SELECT, {"id": 1}).all()
    assert wire.verbs == ["SELECT"]
    assert wire.round_trips == 1


def test_a_prepared_statement_counts_each_time_it_is_executed(tap: Tap, engine: Engine) -> None:
    """The driver's own preparing, after a few executions, hides none of them."""
    with counting(tap) as wire, engine.connect() as connection:
        for number in range(12):
            connection.execute(SELECT, {"id": number}).all()
    assert wire.verbs.count("SELECT") == 12


def test_the_record_ends_with_its_block(tap: Tap, engine: Engine) -> None:
    """What comes later is not in it."""
    with counting(tap) as wire:
        pass
    with engine.connect() as connection:
        connection.execute(SELECT, {"id": 1})
    assert wire.statements == []
    assert wire.round_trips == 0


def test_two_records_hear_the_same(tap: Tap, engine: Engine) -> None:
    """A test may listen to a part of what it listens to."""
    with counting(tap) as outer, counting(tap) as inner, engine.connect() as connection:
        connection.execute(SELECT, {"id": 1})
    assert "SELECT" in inner.verbs
    assert outer.statements == inner.statements


def test_a_tap_on_one_sqlite_engine_hears_no_other(tmp_path: Path) -> None:
    """Two engines on one file are told apart."""
    mine, other = (create_engine(f"sqlite:///{tmp_path / 'test.sqlite'}") for _ in range(2))
    with sqlite_trace(mine) as tap:
        _say(mine, "SELECT 0")
        with counting(tap) as wire:
            _say(mine, "SELECT 1")
            _say(other, "SELECT 2")
    _say(mine, "SELECT 3")
    assert wire.statements == ["SELECT 1"]
    assert wire.round_trips == 1
    mine.dispose()
    other.dispose()


def test_a_tap_on_a_sqlite_file_hears_no_other_file(tmp_path: Path) -> None:
    """What a test left running does not disturb the next one."""
    mine, other = (f"sqlite:///{tmp_path / name}" for name in ("mine.sqlite", "other.sqlite"))
    engines = [create_engine(url) for url in (mine, other)]
    with tapped(mine) as tap, counting(tap) as wire:
        for engine in engines:
            _say(engine, f"SELECT '{engine.url.database}'")
            engine.dispose()
    assert [word for word in wire.statements if "other.sqlite" in word] == []
    assert wire.verbs[-1] == "SELECT"


def test_a_tap_on_sqlite_hears_what_is_said_while_connecting(tmp_path: Path) -> None:
    """Pragmas count, as the first words on a wire do."""
    engine = create_engine(f"sqlite:///{tmp_path / 'test.sqlite'}")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys"))
    with sqlite_trace(engine) as tap, counting(tap) as wire:
        _say(engine, "SELECT 1")
    assert "PRAGMA foreign_keys" in wire.statements
    assert wire.statements[-1] == "SELECT 1"
    engine.dispose()


def test_a_proxy_counts_connections_and_round_trips(proxy: Proxy, client: Engine) -> None:
    """A pooled connection is opened once, and reset forgets all that was heard."""
    _say(client, "SELECT 1")
    assert proxy.wire.connections == 1
    assert proxy.wire.round_trips >= len(proxy.wire.statements) > 0
    proxy.reset()
    _say(client, "SELECT 1")
    assert proxy.wire.connections == 0
    assert proxy.wire.verbs.count("SELECT") == 1


def test_an_answer_of_many_packets_is_one_round_trip(proxy: Proxy, client: Engine) -> None:
    """Size does not count, and nothing is lost on the way."""
    with client.connect() as connection:
        proxy.reset()
        big = connection.execute(text("SELECT repeat('x', 5000000)")).scalar_one()
        trips = proxy.wire.round_trips - proxy.wire.verbs.count("BEGIN")
    assert len(big) == 5_000_000
    assert trips == 1


def test_dropped_connections_break_and_new_ones_work(proxy: Proxy, client: Engine) -> None:
    """A pool then holds a dead connection, which it notices when it uses it."""
    for abruptly in (False, True):
        _say(client, "SELECT 1")
        proxy.drop(abruptly=abruptly)
        with pytest.raises(DBAPIError) as failure:
            _say(client, "SELECT 1")
        assert failure.value.connection_invalidated
        _say(client, "SELECT 1")


def test_a_refusing_proxy_keeps_present_connections(proxy: Proxy, client: Engine) -> None:
    """Only new clients are turned away, and only until the end of the outage."""
    with client.connect() as connection:
        proxy.refuse()
        connection.execute(text("SELECT 1"))
        with pytest.raises(OperationalError):
            _say_on_a_new_connection(proxy, "SELECT 1")
        proxy.restore()
        _say_on_a_new_connection(proxy, "SELECT 1")


def test_a_black_hole_accepts_and_never_answers(proxy: Proxy, client: Engine) -> None:
    """A client learns of it by its own patience alone."""
    proxy.black_hole()
    with pytest.raises(OperationalError, match=r"(?i)time"):
        _say(client, "SELECT 1")
    assert proxy.wire.connections == 1
    assert proxy.wire.round_trips == 0
    proxy.restore()
    _say(client, "SELECT 1")


def test_a_black_hole_swallows_what_is_said_on_present_connections(
    proxy: Proxy, client: Engine
) -> None:
    """Somebody who waits there goes on waiting until the outage ends, with an error."""
    failures: list[Exception] = []

    def wait(connection: Connection) -> None:
        try:
            connection.execute(text("SELECT 1"))
        except DBAPIError as failure:
            failures.append(failure)

    with client.connect() as connection:
        connection.execute(text("SELECT 1"))
        connection.rollback()
        proxy.reset()
        proxy.black_hole()
        waiting = threading.Thread(target=wait, args=(connection,))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        proxy.restore()
        waiting.join(10)
        assert len(failures) == 1
        assert proxy.wire.statements == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_connection_can_be_cut_around_the_commit(
    proxy: Proxy, client: Engine, after: bool
) -> None:
    """The client sees the same error both times; only the database knows the outcome."""
    _say(client, "CREATE TABLE words (id INTEGER PRIMARY KEY)")
    (proxy.cut_after if after else proxy.cut_before)("COMMIT")
    with pytest.raises(DBAPIError):
        _say(client, "INSERT INTO words (id) VALUES (1)")
    with client.connect() as connection:
        rows = connection.execute(text("SELECT id FROM words")).all()
    assert rows == ([(1,)] if after else [])


def test_a_proxy_in_front_of_a_dead_server_closes_at_once() -> None:
    """An outage behind the proxy looks like one."""
    nowhere = f"postgresql+psycopg://postgres@{LOOPBACK}:{free_port()}/nothing"
    with Proxy(nowhere) as proxy, pytest.raises(OperationalError, match="closed the connection"):
        _say_on_a_new_connection(proxy, "SELECT 1")


def test_a_proxy_hides_no_password() -> None:
    """The URL that it gives is one to connect with."""
    proxy = Proxy("postgresql+psycopg://me:s%40cret@127.0.0.1:5432/app")
    assert proxy.url == f"postgresql+psycopg://me:s%40cret@127.0.0.1:{proxy.port}/app"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_postgresql_statements_are_read_in_pieces_of_any_size(size: int) -> None:
    """TCP cuts where it likes."""
    start = _postgresql(b"", b"\0\3\0\0user\0me\0\0")
    prelude = _postgresql(b"", (80877103).to_bytes(4, "big"))
    parse = _postgresql(b"P", b"name\0SELECT $1\0\0\0")
    bind = _postgresql(b"B", b"\0name\0\0\0\0\1\0\0\0\1x\0\0")
    execute = _postgresql(b"E", b"\0\0\0\0\0")
    sync, query = _postgresql(b"S", b""), _postgresql(b"Q", b"COMMIT\0")
    spoken = prelude + start + parse + bind + execute + sync + bind + execute + sync + query
    reader = PostgreSQLReader()
    pieces = [spoken[i : i + size] for i in range(0, len(spoken), size)]
    heard = [statement for piece in pieces for statement in reader.read(piece)]
    assert heard == ["SELECT $1", "SELECT $1", "COMMIT"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_mariadb_statements_are_read_in_pieces_of_any_size(size: int) -> None:
    """TCP cuts where it likes."""
    spoken = _mariadb(1, b"\3greeting") + _mariadb(0, b"\3SELECT 1") + _mariadb(0, b"\x0e")
    reader = MariaDBReader()
    pieces = [spoken[i : i + size] for i in range(0, len(spoken), size)]
    heard = [statement for piece in pieces for statement in reader.read(piece)]
    assert heard == ["SELECT 1", "PING"]


def _postgresql(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def _mariadb(sequence: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([sequence]) + body


def _say(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def _say_on_a_new_connection(proxy: Proxy, statement: str) -> None:
    engine = create_engine(proxy.url, poolclass=NullPool, connect_args={"connect_timeout": 5})
    _say(engine, statement)
