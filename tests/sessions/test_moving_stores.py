"""Old sessions that lie in a store; `make test/moving` tries those that the real packages wrote."""

import base64
import hashlib
import hmac
import json
import pickle
import sqlite3
import sys
import zlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyramid.request import Request
from sqlalchemy import create_engine, update
from webob.cookies import SignedSerializer

from myapp.scripts.sessions import cli
from myapp.sessions import SettingError
from myapp.sessions.core.token import new_handle
from myapp.sessions.moving.links import digest_of, write_link
from myapp.sessions.moving.old import Old, Reader
from myapp.sessions.moving.redis_readers import RedisSessionsReader, SessionRedisReader
from myapp.sessions.moving.signed_cookie import Verbatim
from myapp.sessions.sql.model import table
from tests.command_line import called
from tests.sessions.app import App
from tests.sessions.conftest import MakeApp
from tests.sessions.moving import SECRET, deletes_old, moved, ours, send

ID = "0123456789abcdef0123456789abcdef"
SIGNED = hmac.new(SECRET.encode(), ID.encode(), hashlib.sha1).hexdigest() + ID
COOKIE = f"old={SIGNED}"
VALUES = {"user": "ann", "cart": [1], "_accessed_time": 4e9, "_creation_time": 1e9, "_path": "/"}

VIEWS: dict[str, Any] = {
    "show": lambda request: dict(request.session),
    "user": lambda request: request.authenticated_userid or "nobody",
    "out": lambda request: request.session.sign_out(),
}
BEAKER = {
    "moving.from": "beaker",
    "moving.user_key": "user",
    "moving.pickle": "plain",
    "moving.beaker.secret": SECRET,
    "moving.beaker.key": "old",
}


def stored(values: dict[str, Any]) -> bytes:
    """As Beaker stores a session: a pickle around the base64 of another one."""
    return pickle.dumps({"session": base64.b64encode(pickle.dumps(values, 2))})


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Beaker's table, with one session."""
    path = tmp_path / "beaker.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE beaker_cache (namespace TEXT, data BLOB)")
        connection.execute("INSERT INTO beaker_cache VALUES (?, ?)", (ID, stored(VALUES)))
    connection.close()
    return path


@pytest.fixture
def app(make_app: MakeApp, database: Path) -> App:
    url = f"sqlite:///{database}"
    given = {"moving.beaker.type": "ext:database", "moving.beaker.url": url}
    return moved(make_app, VIEWS, BEAKER | given)


def rows(database: Path, words: str = "SELECT * FROM beaker_cache") -> list[Any]:
    """What a statement answers in Beaker's database."""
    connection = sqlite3.connect(database)
    with connection:
        found = connection.execute(words).fetchall()
    connection.close()
    return found


def test_a_session_in_a_database_is_moved_and_deleted(app: App, database: Path) -> None:
    """O7: once it is ours it is gone there; whoever still bears the old cookie joins ours."""
    response = send(app, "/show", COOKIE)
    assert response.json == {"user": "ann", "cart": [1]}
    assert deletes_old(response, "old")
    assert not rows(database)
    assert send(app, "/user", COOKIE).text == "ann"
    assert len(app.rows()) == 1


class Overtaken:
    """A reader whose request is overtaken by another one, right before it reads."""

    def __init__(self, reader: Reader, overtake: Callable[[], object]) -> None:
        self._reader, self._overtake = reader, overtake

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def read(self, request: Request, key: str) -> Old | None:
        self._overtake, overtake = lambda: None, self._overtake
        overtake()
        return self._reader.read(request, key)


def test_whoever_is_overtaken_joins_the_faster_one(app: App) -> None:
    """O7: the old session is gone by then, and its link is there."""
    readers = app.router.registry["myapp.sessions.moving"].readers
    readers[0] = Overtaken(readers[0], lambda: send(app, "/user", COOKIE))
    assert send(app, "/user", COOKIE).text == "ann"
    assert len(app.rows()) == 1


def test_a_session_in_a_file_is_moved_and_deleted(make_app: MakeApp, tmp_path: Path) -> None:
    """O7: pickled or in JSON; a path never comes from what was not signed, or is no id."""
    folder = tmp_path / "data" / "container_file" / "0" / "01"
    folder.mkdir(parents=True)
    file = folder / f"{ID}.cache"
    as_json = zlib.compress(json.dumps(VALUES).encode())
    given = BEAKER | {"moving.beaker.data_dir": str(tmp_path / "data")}
    for serializer, content in (("pickle", pickle.dumps(VALUES)), ("json", as_json)):
        file.write_bytes(pickle.dumps({"session": base64.b64encode(content)}))
        app = moved(make_app, VIEWS, given | {"moving.beaker.data_serializer": serializer})
        for forged in ("0" * 40 + ID, ID, "../../../etc/passwd"):
            assert send(app, "/user", f"old={forged}").text == "nobody"
        app.manager.store.sweep(2**61, 100)
        assert send(app, "/user", COOKIE).text == "ann"
        assert not file.exists()


def test_an_outage_of_the_old_store_signs_nobody_out(app: App, database: Path) -> None:
    """O7, L8: pages that look at the session answer 503, and nothing is deleted."""
    rows(database, "ALTER TABLE beaker_cache RENAME TO away")
    down = send(app, "/user", COOKIE)
    assert down.status_int == 503
    assert not down.headers.getall("Set-Cookie")
    rows(database, "ALTER TABLE away RENAME TO beaker_cache")
    assert send(app, "/user", COOKIE).text == "ann"


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"junk", None, "a text", 7),
        *(pickle.dumps({"session": b"%"}), pickle.dumps(print)),
        *(stored(VALUES | {"_creation_time": value}) for value in (1e300, float("inf"), "then")),
        stored(VALUES | {"_accessed_time": float("nan")}),
    ],
)
def test_what_can_not_be_read_stays(app: App, database: Path, data: object) -> None:
    """O7, L7: the user is not signed in, and nothing is deleted: a setting may be wrong."""
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE beaker_cache SET data = ?", (data,))
    connection.close()
    response = send(app, "/user", COOKIE)
    assert response.text == "nobody"
    assert not response.headers.getall("Set-Cookie")
    assert len(rows(database)) == 1


def test_a_command_tells_how_far_the_move_has_come(app: App, tmp_path: Path) -> None:
    """O7, O1: from the table, so of all servers together; status 1 while old ones arrive."""
    ini = tmp_path / "some.ini"
    ini.write_text(f"[app:main]\nuse = egg:myapp\nsqlalchemy.url = {app.url}\n")
    assert called(cli, ini, "moving").output == "no old session has arrived\n"
    assert called(cli, ini, "moving", "--json").output == "{}\n"
    assert called(cli, ini, "moving", "--check").exit_code == 0
    assert ours(send(app, "/user", COOKIE))
    head, line = called(cli, ini, "moving").output.splitlines()
    assert head.split() == ["from", "moved", "ended", "last", "hour", "last", "day", "last"]
    assert line.split()[:5] == ["beaker", "1", "0", "1", "1"]
    (found,) = json.loads(called(cli, ini, "moving", "--json").output).items()
    assert found[0] == "beaker"
    assert {name: found[1][name] for name in ("moved", "last_day")} == {"moved": 1, "last_day": 1}
    assert datetime.fromisoformat(found[1]["last"]).tzinfo is not None
    last_day = called(cli, ini, "moving", "--check")
    assert (last_day.exit_code, last_day.output) == (1, "")
    bad = called(cli, "--set", "session.lifetime=long", ini, "moving")
    assert bad.exit_code == 1
    assert bad.stderr.startswith("Error: session.lifetime = long")


def test_an_old_session_counts_once_and_what_is_damaged_apart(app: App, tmp_path: Path) -> None:
    """O7: though two requests of one instant adopted it; a bad row hides no other."""
    ini = tmp_path / "some.ini"
    ini.write_text(f"[app:main]\nuse = egg:myapp\nsqlalchemy.url = {app.url}\n")

    def counted() -> dict[str, Any]:
        found = json.loads(called(cli, ini, "moving", "--json").output).items()
        return {name: (each["moved"], each["ended"]) for name, each in found}

    kind, reader = app.manager.kind, cast(Reader, SimpleNamespace(name="beaker", lasts=0))
    for _ in range(3):
        write_link(kind, (reader, "old"), new_handle(0))
    write_link(kind, (reader, "other"), None)
    assert counted() == {"beaker": (1, 1)}
    damaged = digest_of(kind, (reader, "other"))
    engine = create_engine(app.url)
    with engine.connect() as connection:
        for values in ({"data": b"\xff"}, {"data": b"\x91\xa2\xff"}, {"created_at": 2**62}):
            connection.execute(update(table).where(table.c.digest == damaged).values(values))
            connection.commit()
            assert counted() == {"beaker": (1, 0), "unreadable": (1, 0)}
    engine.dispose()


def test_an_unsigned_id_of_beaker_is_taken_to_the_letter(make_app: MakeApp, database: Path) -> None:
    """O7: a database that finds it in either case gives no second session after signing out."""
    rows(database, "DROP TABLE beaker_cache")
    rows(database, "CREATE TABLE beaker_cache (namespace TEXT COLLATE NOCASE, data BLOB)")
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("INSERT INTO beaker_cache VALUES (?, ?)", (ID, stored(VALUES)))
    connection.close()
    given = {"moving.beaker.type": "ext:database", "moving.beaker.url": f"sqlite:///{database}"}
    app = moved(make_app, VIEWS, BEAKER | given | {"moving.beaker.secret": ""})
    assert send(app, "/user", f"old={ID.upper()}").text == "nobody"
    assert send(app, "/user", f"old={ID}").text == "ann"


@pytest.mark.parametrize("quotes", ["", '"'])
def test_a_signed_id_of_beaker_is_the_key(app: App, quotes: str) -> None:
    """O7: not the cookie's text; a signature in other letters is none."""
    (reader,) = app.router.registry["myapp.sessions.moving"].readers
    request = Request.blank("/", headers={"Cookie": f"old={quotes}{SIGNED}{quotes}"})
    assert reader.key(request) == ID
    shouted = Request.blank("/", headers={"Cookie": f"old={SIGNED[:40].upper()}{ID}"})
    assert reader.key(shouted) is None


def test_a_session_that_does_not_say_when_it_began_is_refused(
    make_app: MakeApp, database: Path
) -> None:
    """O7, O3: it may be from before the moment from which on old sessions are adopted."""
    given = BEAKER | {
        "moving.beaker.type": "ext:database",
        "moving.beaker.url": f"sqlite:///{database}",
        "moving.began_after": "2001-01-01T00:00Z",
    }
    undated = {name: value for name, value in VALUES.items() if name != "_creation_time"}
    for values, user in ((undated, "nobody"), (VALUES, "ann")):
        connection = sqlite3.connect(database)
        with connection:
            connection.execute("UPDATE beaker_cache SET data = ?", (stored(values),))
        connection.close()
        assert send(moved(make_app, VIEWS, given), "/user", COOKIE).text == user


class Redis:
    """Stands in for Redis's client, which need not be installed."""

    def __init__(self, **options: object) -> None:
        """Nothing is connected."""

    @classmethod
    def from_url(cls, url: str, **options: object) -> "Redis":
        if not url.startswith("redis://"):
            raise ValueError("another scheme")
        return cls()


@pytest.fixture
def _redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", SimpleNamespace(Redis=Redis, RedisError=OSError))


@pytest.mark.usefixtures("_redis")
def test_a_signed_id_of_redis_is_the_key() -> None:
    """O7: however its base64 is written, the link is that of the one session."""
    options = {
        "secret": SECRET,
        "deserialize": None,
        "cookie_name": "old",
        "cookie_path": "/",
        "cookie_domain": None,
    }
    younger = SessionRedisReader(options | {"redis_url": "redis://localhost"}, "plain")
    salted = SignedSerializer(SECRET, "pyramid_session_redis.", "sha512", serializer=Verbatim())
    text = salted.dumps(ID.encode()).decode()
    older = RedisSessionsReader(options | {"url": "redis://localhost"}, "plain")
    pickled = pickle.dumps(ID, 2)
    signature = hmac.new(SECRET.encode(), pickled, hashlib.sha1).hexdigest()
    signed = signature + base64.b64encode(pickled).decode()
    for reader, cookie in ((younger, text), (younger, f"{text}===="), (older, signed)):
        for written in (cookie, f'"{cookie}"'):
            request = Request.blank("/", headers={"Cookie": f"old={written}"})
            assert reader.key(request) == ID


@pytest.mark.usefixtures("_redis")
@pytest.mark.parametrize("kind", ["session_redis", "redis_sessions", "beaker"])
def test_a_bad_url_of_redis_stops_the_start(make_app: MakeApp, kind: str) -> None:
    """O7, C2: under the name that the library has for it."""
    name = {"session_redis": "redis_url"}.get(kind, "url")
    given = {
        "moving.from": kind,
        "moving.pickle": "plain",
        "moving.beaker.type": "ext:redis",
        f"moving.{kind}.secret": SECRET,
        f"moving.{kind}.{name}": "http://localhost",
    }
    with pytest.raises(SettingError, match=rf"^moving\.{kind}\.{name} .*expected a URL"):
        moved(make_app, VIEWS, given)
